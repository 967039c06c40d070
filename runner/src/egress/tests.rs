//! The broker from outside: a caller on one end of its socket, real servers on loopback at the other, and
//! a name server that says what a test wants it to say.

mod dns;
mod hostile;
mod requests;
mod servers;
mod stand;
mod tcp;
mod timing;
