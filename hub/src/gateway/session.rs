//! One runner's connection as one task: everything that can wake it is in [`Event`].
//!
//! Frames are read one after another, and each is stored before the next is read: a runner that reports
//! faster than the store takes is slowed down by its own socket.

use std::time::Duration;

use cofferdam_protocol::hello::{RefuseCode, Welcome};
use cofferdam_protocol::limits::{TEXT_BYTES_MAX, TEXT_FRAME_BYTES_MAX};
use cofferdam_protocol::{
    AttemptId, Fence, HubFrame, JobId, LogFrame, RunnerFrame, RunnerId, codec,
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Bytes, Error as SocketError, Message};

use super::Gateway;
use super::auth::{self, NotProven, Proven, refuse};
use super::pace::Pace;
use super::registry::{Order, Seat, Seated};
use super::upgrade::Socket;
use crate::domain::{Job, JobState, RunnerState};
use crate::ingest::{Conversation, IngestError};
use crate::plain_text::one_line;
use crate::server::Peer;
use crate::store::StoreError;

/// Nothing heard for this long means that nobody is there: three pings went unanswered.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How often the hub asks whether the runner is there.
const PING_EVERY: Duration = Duration::from_secs(5);

/// How long the other side may take to read one frame. It waits for nothing while it reads.
const SEND_TIME_MAX: Duration = Duration::from_secs(15);

/// How often a connected runner's sign of life is written down. People look at it, leases do not.
const SAW_EVERY: Duration = Duration::from_mins(1);

/// All that can wake a session.
enum Event {
    /// The runner said something, or went away.
    Heard(Option<Result<Message, SocketError>>),
    /// Somebody in the hub has something for the runner; `None` when a newer session took the place.
    Ordered(Option<Order>),
    /// Time to ask whether the runner is there; since when it has been.
    Tick(Instant),
    /// The runner said nothing for too long, although somebody listened.
    Silence,
    /// The hub stops.
    Stop,
}

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error("the runner hung up")]
    Closed,
    #[error("the runner was silent for {} s", SILENCE_MAX.as_secs())]
    Silent,
    #[error("the runner does not read what it is told")]
    Deaf,
    #[error("the connection broke")]
    Broken(#[from] SocketError),
    #[error("a newer session took its place")]
    Replaced,
    #[error("the runner was revoked")]
    Revoked(cofferdam_protocol::hello::Refuse),
    #[error("the runner said what a runner does not say: {0}")]
    BadFrame(String),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the hub stops")]
    Stop,
}

/// Serves one upgraded connection to its end.
pub(super) async fn serve(gateway: &Gateway, mut socket: Socket, peer: &Peer) {
    let proving = auth::prove(gateway, &mut socket, peer);
    let proven = tokio::select! {
        () = gateway.stop.cancelled() => return,
        proven = proving => proven,
    };
    let Proven {
        runner,
        slots,
        software,
    } = match proven {
        Ok(proven) => proven,
        Err(error) => {
            tracing::warn!(target: "audit", address = %peer.address, %error, "no session");
            if let NotProven::Refused(refuse) = error {
                auth::say_no(&mut socket, refuse).await;
            }
            return;
        }
    };
    let Seated {
        seat,
        orders,
        orphans,
    } = match gateway.registry.seat(&runner, slots).await {
        Ok(seated) => seated,
        Err(refuse) => {
            tracing::warn!(runner.id = %runner.id, address = %peer.address, "a second session is refused");
            auth::say_no(&mut socket, refuse).await;
            return;
        }
    };
    // Not before: who only proves itself, again and again, waits for its seat as a stranger among strangers.
    peer.leave_the_strangers();
    socket.get_mut().lift();
    give_back(gateway, orphans).await;
    tracing::info!(
        runner.id = %runner.id, name = runner.name, address = %peer.address, slots, software,
        "a runner is connected"
    );
    let mut session = Session::new(gateway, socket, seat, orders, runner.id);
    let Err(over) = session.run().await;
    session.end(over).await;
}

struct Session<'a> {
    gateway: &'a Gateway,
    runner: RunnerId,
    socket: Socket,
    seat: Seat,
    orders: mpsc::Receiver<Order>,
    talk: Conversation,
    pace: Pace,
    read_from: Instant,
    heard_at: Instant,
    saw_at: Option<Instant>,
    ticks: Interval,
    probes: Vec<oneshot::Sender<()>>,
}

impl<'a> Session<'a> {
    fn new(
        gateway: &'a Gateway,
        socket: Socket,
        seat: Seat,
        orders: mpsc::Receiver<Order>,
        runner: RunnerId,
    ) -> Self {
        let now = Instant::now();
        let mut ticks = interval(PING_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            gateway,
            runner,
            socket,
            seat,
            orders,
            talk: Conversation::new(runner),
            pace: Pace::new(now),
            read_from: now,
            heard_at: now,
            saw_at: None,
            ticks,
            probes: Vec::new(),
        }
    }

    async fn run(&mut self) -> Result<std::convert::Infallible, Over> {
        let lease = self.gateway.lease;
        let welcome = Welcome {
            lease_secs: lease.lease_secs,
            renew_secs: lease.renew_secs,
        };
        // Only from now on does a revocation find this session and close it; one that came between the
        // proof and now is seen here.
        let known = self.gateway.runners.runner(self.runner).await?;
        if known.is_none_or(|known| known.state == RunnerState::Revoked) {
            let refuse = refuse(RefuseCode::Revoked, "this runner was revoked");
            return Err(Over::Revoked(refuse));
        }
        self.send(HubFrame::Welcome(welcome)).await?;
        loop {
            match self.next_event().await {
                Event::Heard(Some(message)) => self.heard(message?).await?,
                Event::Heard(None) => return Err(Over::Closed),
                Event::Ordered(Some(Order::Send(frame))) => self.send(frame).await?,
                Event::Ordered(Some(Order::Probe(answer))) => {
                    self.probes.push(answer);
                    self.ping().await?;
                }
                Event::Ordered(Some(Order::Close(refuse))) => return Err(Over::Revoked(refuse)),
                Event::Ordered(None) => return Err(Over::Replaced),
                Event::Tick(due) => {
                    self.forgive(due.elapsed());
                    self.ping().await?;
                }
                Event::Silence => return Err(Over::Silent),
                Event::Stop => return Err(Over::Stop),
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let stop = &self.gateway.stop;
        let (read_from, silent_at) = (self.read_from, self.heard_at + SILENCE_MAX);
        let socket = &mut self.socket;
        let hear = async {
            sleep_until(read_from).await;
            socket.next().await
        };
        // In this order: what the hub wants is little and must not wait behind a flood, and nobody is called silent
        // while a word of theirs lies unread.
        tokio::select! {
            biased;
            () = stop.cancelled() => Event::Stop,
            order = self.orders.recv() => Event::Ordered(order),
            due = self.ticks.tick() => Event::Tick(due),
            message = hear => Event::Heard(message),
            () = sleep_until(silent_at) => Event::Silence,
        }
    }

    async fn heard(&mut self, message: Message) -> Result<(), Over> {
        self.read_from = self.pace.take(Instant::now());
        for probe in self.probes.drain(..) {
            // Whoever asked may have stopped waiting.
            _ = probe.send(());
        }
        self.handle(message).await?;
        // Only now: while a slow store kept us from listening, it was not the runner that was silent.
        self.heard_at = Instant::now();
        Ok(())
    }

    async fn handle(&mut self, message: Message) -> Result<(), Over> {
        match message {
            Message::Text(text) => {
                let frame = codec::decode(&text, TEXT_FRAME_BYTES_MAX)
                    .map_err(|error| Over::BadFrame(error.to_string()))?;
                self.act(frame).await
            }
            Message::Binary(bytes) => {
                let frame =
                    LogFrame::decode(&bytes).map_err(|error| Over::BadFrame(error.to_string()))?;
                let answer = self.gateway.ingest.log(&mut self.talk, frame).await;
                self.answer(answer).await
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
            Message::Close(_) => Err(Over::Closed),
        }
    }

    async fn act(&mut self, frame: RunnerFrame) -> Result<(), Over> {
        let ingest = &self.gateway.ingest;
        match frame {
            RunnerFrame::Hello(_) | RunnerFrame::Prove(_) => Err(Over::BadFrame(
                "a greeting in the middle of a session".to_owned(),
            )),
            RunnerFrame::Accept { attempt, fence } => self.accept(attempt, fence).await,
            RunnerFrame::Decline {
                attempt,
                fence,
                why,
            } => self.decline(attempt, fence, &why).await,
            RunnerFrame::Alive { attempts } => {
                self.note_life().await?;
                let answer = ingest.alive(&mut self.talk, attempts).await;
                self.answer(answer).await
            }
            RunnerFrame::Event {
                attempt,
                fence,
                seq,
                at,
                event,
            } => {
                let report = ingest.report(&self.talk, (attempt, fence, seq), at, event);
                let answer = ingest.event(&mut self.talk, report).await;
                self.answer(answer).await
            }
        }
    }

    async fn accept(&mut self, attempt: AttemptId, fence: Fence) -> Result<(), Over> {
        self.seat.accepted(attempt);
        self.talk.meets(attempt);
        if job_of(self.gateway, self.runner, attempt, fence)
            .await?
            .is_none()
        {
            self.send(HubFrame::Stale { attempt, fence }).await?;
        }
        Ok(())
    }

    async fn decline(&mut self, attempt: AttemptId, fence: Fence, why: &str) -> Result<(), Over> {
        let Some(job) = job_of(self.gateway, self.runner, attempt, fence).await? else {
            return Ok(());
        };
        let why = one_line(why, TEXT_BYTES_MAX);
        tracing::warn!(runner.id = %self.runner, attempt.id = %attempt, why, "a runner declined a job");
        // Declined first: giving it back wakes the scheduler, which must know by then.
        self.seat.declined(attempt, job, why);
        let now = self.gateway.clock.now();
        self.gateway.queue.give_back(attempt, fence, now).await?;
        Ok(())
    }

    async fn note_life(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        if self.saw_at.is_none_or(|at| at + SAW_EVERY <= now) {
            self.saw_at = Some(now);
            let runners = &self.gateway.runners;
            runners.saw(self.runner, self.gateway.clock.now()).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, answer: Result<Vec<HubFrame>, IngestError>) -> Result<(), Over> {
        let frames = answer.map_err(|error| match error {
            IngestError::Store(error) => Over::Store(error),
            IngestError::Malformed(why) => Over::BadFrame(why),
        })?;
        for frame in frames {
            self.send(frame).await?;
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Over> {
        self.put(Message::Ping(Bytes::new())).await
    }

    async fn send(&mut self, frame: HubFrame) -> Result<(), Over> {
        self.put(Message::text(codec::encode(&frame))).await
    }

    async fn put(&mut self, message: Message) -> Result<(), Over> {
        let from = Instant::now();
        let sent = timeout(SEND_TIME_MAX, self.socket.send(message)).await;
        sent.map_err(|_| Over::Deaf)??;
        self.forgive(from.elapsed());
        Ok(())
    }

    /// Nobody listened for so long, so it does not count as silence: this process wrote, or was itself stopped for a
    /// while. After that its timers wake it before it knows what there is to read.
    fn forgive(&mut self, unheard: Duration) {
        self.heard_at = (self.heard_at + unheard).min(Instant::now());
    }

    /// Says goodbye as far as somebody listens, and puts back what the runner never answered to.
    async fn end(self, over: Over) {
        let Self {
            gateway,
            runner,
            mut socket,
            seat,
            ..
        } = self;
        tracing::info!(runner.id = %runner, error = &over as &dyn std::error::Error, "a runner is gone");
        give_back(gateway, seat.leave()).await;
        let goodbye = match over {
            Over::BadFrame(why) => Some(refuse(
                RefuseCode::BadFrame,
                one_line(&why, TEXT_BYTES_MAX / 4),
            )),
            Over::Store(_) => Some(refuse(
                RefuseCode::Busy,
                "the hub cannot store what you say",
            )),
            Over::Revoked(refuse) => Some(refuse),
            Over::Stop => None,
            Over::Closed | Over::Silent | Over::Deaf | Over::Broken(_) | Over::Replaced => return,
        };
        match goodbye {
            Some(refuse) => auth::say_no(&mut socket, refuse).await,
            // It may be gone already, and then there is nothing to close.
            None => drop(timeout(Duration::from_secs(1), socket.close(None)).await),
        }
    }
}

/// Puts offers back that nobody will answer.
async fn give_back(gateway: &Gateway, unanswered: Vec<(AttemptId, Fence)>) {
    for (attempt, fence) in unanswered {
        let now = gateway.clock.now();
        if let Err(error) = gateway.queue.give_back(attempt, fence, now).await {
            // Its lease ends by itself.
            let error = &error as &dyn std::error::Error;
            tracing::error!(attempt.id = %attempt, error, "could not put a job back");
        }
    }
}

/// The job of a live attempt that `runner` holds.
async fn job_of(
    gateway: &Gateway,
    runner: RunnerId,
    attempt: AttemptId,
    fence: Fence,
) -> Result<Option<JobId>, StoreError> {
    let job = gateway.queue.leased(attempt, fence).await?;
    let is_its_own =
        |job: &Job| matches!(&job.state, JobState::Leased(live) if live.runner == runner);
    Ok(job.filter(is_its_own).map(|job| job.id))
}
