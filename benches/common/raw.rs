//! Raw timely with threads, or in two processes of one worker each. timely's own way to connect them prints, and waits
//! a second when it comes too early.

use std::any::Any;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use timely::CommunicationConfig;
use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};

/// What `execute_from` needs for the workers of one process.
pub type Workers = (Vec<AllocatorBuilder>, Box<dyn Any + Send>);

/// One process with so many workers.
pub fn threads(workers: usize) -> Workers {
    let one = workers == 1;
    let config = if one { CommunicationConfig::Thread } else { CommunicationConfig::Process(workers) };
    config.try_build().unwrap()
}

/// Runs `run` in this process while a second one, this program with `args` of the address, does its part with
/// [`second`].
pub fn first<R>(args: impl FnOnce(String) -> Vec<String>, run: impl FnOnce(Workers) -> R) -> R {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let args = args(listener.local_addr().unwrap().to_string());
    let mut child = Command::new(std::env::current_exe().unwrap()).args(args).spawn().unwrap();
    let result = run(connected(0, listener.accept().unwrap().0));
    assert!(child.wait().unwrap().success());
    result
}

/// The second process.
pub fn second(address: &str) -> Workers {
    connected(1, TcpStream::connect(address).unwrap())
}

fn connected(process: usize, other: TcpStream) -> Workers {
    other.set_nodelay(true).unwrap();
    let mut sockets = vec![Some(other)];
    sockets.insert(process, None);
    let hooks = Hooks::default();
    let inside = ProcessBuilder::new_typed_vector(1, hooks.refill.clone(), hooks.spill.clone());
    let (builders, guard) = initialize_networking_from_sockets(inside, sockets, process, 1, hooks).unwrap();
    (builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard))
}
