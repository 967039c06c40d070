//! One hub with real TLS, real websockets, real git and its own command line, all over loopback; only the
//! runner is played by the test.

#[cfg(test)]
mod door;
#[cfg(test)]
mod push;
#[cfg(test)]
mod runner;
#[cfg(test)]
mod work;
#[cfg(test)]
mod world;
