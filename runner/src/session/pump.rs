//! An open session: one half reads frames and acts on them, the other writes what there is to say.
//!
//! The reader never waits for the writer: what it wants said goes through a short queue, and a hub that
//! fills that queue faster than it reads our answers loses the session.

use std::time::Duration;

use cofferdam_protocol::job_spec::JobSpec;
use cofferdam_protocol::limits::TEXT_BYTES_MAX;
use cofferdam_protocol::{AttemptId, Fence, HubFrame, RunnerFrame, Seq, codec};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::handshake::{Socket, decode};
use super::{Broken, Session, from_wire};
use crate::job::plan::Plan;
use crate::outbox::{Outgoing, SentMarks};
use crate::slots::Slot;

/// Nothing heard for this long means that nobody is there: three pings went unanswered.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How often we ask whether the hub is there.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Answers that may wait for the writer. A hub offers at most as many jobs as we have slots, so a
/// longer queue is a hub that floods us.
const ANSWERS_MAX: usize = 1024;

/// What the reader wants said or known by the writer.
#[derive(Debug)]
enum Answer {
    Frame(RunnerFrame),
    Rewind(AttemptId, Option<Seq>),
}

/// Serves the session until it breaks.
pub(super) async fn pump(session: &Session, socket: Socket, renew: Duration) -> Result<(), Broken> {
    let (sink, stream) = socket.split();
    let (answers, inbox) = mpsc::channel(ANSWERS_MAX);
    // Whichever half ends first ends the session; the other is dropped with the socket.
    tokio::select! {
        ended = read(session, stream, answers) => ended,
        ended = write(session, sink, inbox, renew) => ended,
    }
}

async fn read(
    session: &Session,
    mut stream: SplitStream<Socket>,
    answers: mpsc::Sender<Answer>,
) -> Result<(), Broken> {
    loop {
        let message = timeout(SILENCE_MAX, stream.next())
            .await
            .map_err(|_| Broken::Silence(SILENCE_MAX))?;
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Close(_))) | None => return Err(Broken::Closed),
            Some(Ok(_)) => return Err(Broken::Protocol("a binary frame".to_owned())),
            Some(Err(error)) => return Err(error.into()),
        };
        let Act { answer, start } = act(session, decode(&text)?)?;
        if let Some(answer) = answer {
            answers
                .try_send(answer)
                .map_err(|_| Broken::Protocol("more frames than it reads answers".to_owned()))?;
        }
        // Only now, so that the job's first event stands behind our `Accept`.
        if let Some((plan, slot)) = start {
            session.jobs.start(plan, slot);
        }
    }
}

/// What a frame leads to.
#[derive(Default)]
struct Act {
    answer: Option<Answer>,
    start: Option<(Plan, Slot)>,
}

impl From<Answer> for Act {
    fn from(answer: Answer) -> Self {
        Self {
            answer: Some(answer),
            start: None,
        }
    }
}

/// Does what a frame says. Never waits.
fn act(session: &Session, frame: HubFrame) -> Result<Act, Broken> {
    match frame {
        HubFrame::Offer(spec) => Ok(take_or_decline(session, *spec)),
        HubFrame::Ack { attempt, through } => {
            session.outbox.acknowledge(attempt, through);
            Ok(Act::default())
        }
        HubFrame::Position { attempt, through }
            if !session.outbox.can_go_on_after(attempt, through) =>
        {
            tracing::error!(%attempt, "the hub forgot what it had stored; giving the attempt up");
            session.outbox.drop_attempt(attempt);
            session.slots.cancel(attempt);
            Ok(Act::default())
        }
        HubFrame::Position { attempt, through } => {
            if let Some(seq) = through {
                session.outbox.acknowledge(attempt, seq);
            }
            Ok(Answer::Rewind(attempt, through).into())
        }
        HubFrame::Renewed { .. } => Ok(Act::default()),
        HubFrame::Stale { attempt, fence } => {
            tracing::warn!(%attempt, %fence, "the hub gave this attempt up; stopping it");
            session.outbox.drop_attempt(attempt);
            session.slots.cancel(attempt);
            Ok(Act::default())
        }
        HubFrame::Cancel { attempt, fence: _ } => {
            session.slots.cancel(attempt);
            Ok(Act::default())
        }
        HubFrame::Refuse(refuse) => Err(Broken::Refused(refuse)),
        HubFrame::Challenge(_) | HubFrame::Welcome(_) => Err(Broken::Protocol(
            "a greeting in the middle of a session".to_owned(),
        )),
    }
}

fn take_or_decline(session: &Session, spec: JobSpec) -> Act {
    let (attempt, fence) = (spec.attempt, spec.fence);
    let accept = || Answer::Frame(RunnerFrame::Accept { attempt, fence });
    if session.outbox.is_open(attempt) {
        // The hub did not hear our first answer, or not yet how it ended. It runs once.
        return accept().into();
    }
    if session.outbox.held().len() >= 2 * usize::from(session.slots.capacity()) {
        return decline(
            attempt,
            fence,
            "the ends of too many earlier jobs are not stored yet",
        )
        .into();
    }
    let slot = match session.slots.take(attempt) {
        Ok(slot) => slot,
        Err(no_slot) => return decline(attempt, fence, &no_slot.to_string()).into(),
    };
    match from_wire::plan(spec, &session.remotes, &session.ceiling) {
        Ok(plan) => Act {
            answer: Some(accept()),
            start: Some((plan, slot)),
        },
        Err(error) => decline(attempt, fence, &error.to_string()).into(),
    }
}

fn decline(attempt: AttemptId, fence: Fence, why: &str) -> Answer {
    tracing::warn!(%attempt, why, "declined a job");
    let mut why = why.to_owned();
    why.truncate(why.floor_char_boundary(TEXT_BYTES_MAX));
    Answer::Frame(RunnerFrame::Decline {
        attempt,
        fence,
        why,
    })
}

async fn write(
    session: &Session,
    mut sink: SplitSink<Socket, Message>,
    mut inbox: mpsc::Receiver<Answer>,
    renew: Duration,
) -> Result<(), Broken> {
    let mut news = session.outbox.watch();
    let mut sent = SentMarks::default();
    let mut renewals = interval(renew);
    renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Answers first: an `Accept` must leave before the events of its attempt.
            biased;
            answer = inbox.recv() => match answer {
                Some(Answer::Frame(frame)) => sink.send(text(&frame)).await?,
                Some(Answer::Rewind(attempt, through)) => sent.rewind(attempt, through),
                None => return Err(Broken::Closed),
            },
            _ = renewals.tick() => {
                let attempts = session.outbox.held();
                sink.send(text(&RunnerFrame::Alive { attempts })).await?;
            }
            _ = pings.tick() => sink.send(Message::Ping(Bytes::new())).await?,
            outgoing = next_outgoing(session, &mut sent, &mut news) => {
                let message = match outgoing {
                    Outgoing::Event(frame) => text(&frame),
                    Outgoing::Log(frame) => Message::binary(frame.encode()),
                };
                sink.send(message).await?;
            }
        }
    }
}

/// Waits for the next thing to send. Cancel-safe: a frame is marked as sent only as it is returned.
async fn next_outgoing(
    session: &Session,
    sent: &mut SentMarks,
    news: &mut tokio::sync::watch::Receiver<u64>,
) -> Outgoing {
    loop {
        news.mark_unchanged();
        if let Some(outgoing) = session.outbox.take(sent) {
            return outgoing;
        }
        if news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn text(frame: &RunnerFrame) -> Message {
    Message::text(codec::encode(frame))
}
