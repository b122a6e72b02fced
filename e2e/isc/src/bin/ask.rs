//! Says what a client of the tests is told to say, in the namespace in which it is started.
//!
//! `ask renew|release|decline NUMBER ADDRESS SERVER`: one message of a client that has an address, to the
//! server of the caller's choice. Prints the seconds of the lease that a renewal brought.
//!
//! `ask crowd take RELAY FIRST COUNT SERVER…`: many clients behind a relay take a lease each; a line
//! `NUMBER ADDRESS SERVER SECONDS` for each that got one.
//!
//! `ask crowd bootp RELAY FIRST COUNT SERVER…`: the same of BOOTP clients, whose leases have no length.
//!
//! `ask crowd discover RELAY FIRST COUNT SERVER…`: the same clients only ask; such a line for each offer.
//!
//! `ask crowd renew|release|decline RELAY SERVER`: does that at one server for all whose lines are read from
//! the standard input; prints such lines again for a renewal.

use std::collections::BTreeMap;
use std::io::{BufRead, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use interop::message::{Answer, Kind, Question};

type Told<T = ()> = Result<T, String>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = match words.as_slice() {
        ["crowd", "take", relay, first, count, servers @ ..] => {
            newcomers(Kind::Discover, relay, first, count)
                .and_then(|(relay, asked)| converse(relay, &all(servers)?, asked))
        }
        ["crowd", "bootp", relay, first, count, servers @ ..] => newcomers(Kind::Bootp, relay, first, count)
            .and_then(|(relay, asked)| converse(relay, &all(servers)?, asked)),
        ["crowd", "discover", relay, first, count, servers @ ..] => {
            newcomers(Kind::Discover, relay, first, count)
                .and_then(|(relay, asked)| discover(relay, &all(servers)?, asked))
        }
        ["crowd", verb, relay, server] => each(verb, relay, server),
        [verb, number, address, server] => one(verb, number, address, server),
        _ => Err("see the head of ask.rs".to_owned()),
    };
    if let Err(why) = told {
        eprintln!("{why}");
        std::process::exit(1);
    }
}

fn one(verb: &str, number: &str, address: &str, server: &str) -> Told {
    let (number, address, server) = (parse::<u8>(number)?, parse(address)?, parse(server)?);
    let socket = UdpSocket::bind((address, 68)).map_err(words)?;
    socket.set_read_timeout(Some(Duration::from_secs(2))).map_err(words)?;
    let question = about(verb, std::process::id(), [2, 0, 0, 0, 0, number], address, server)?;
    let mut tries = 3;
    while tries > 0 {
        tries -= 1;
        socket.send_to(&question.encode(), (server, 67)).map_err(words)?;
        if question.kind != Kind::Request {
            return Ok(());
        }
        let mut buffer = [0; 1500];
        let Ok((len, _)) = socket.recv_from(&mut buffer) else { continue };
        let answer = Answer(&buffer[..len]);
        return match (answer.kind(), answer.lease_seconds()) {
            (Some(kind), Some(seconds)) if kind == Kind::Ack as u8 => {
                println!("{seconds}");
                Ok(())
            }
            other => Err(format!("{server} answered {other:?}")),
        };
    }
    Err(format!("{server} does not answer"))
}

/// What a client with an address says to a server.
fn about(verb: &str, xid: u32, hardware: [u8; 6], address: Ipv4Addr, server: Ipv4Addr) -> Told<Question> {
    let silent = Question {
        kind: Kind::Request,
        xid,
        hardware,
        ciaddr: None,
        giaddr: None,
        requested: None,
        server: None,
    };
    match verb {
        "renew" => Ok(Question { ciaddr: Some(address), ..silent }),
        "release" => {
            Ok(Question { kind: Kind::Release, ciaddr: Some(address), server: Some(server), ..silent })
        }
        "decline" => {
            Ok(Question { kind: Kind::Decline, requested: Some(address), server: Some(server), ..silent })
        }
        other => Err(format!("no verb is called {other}")),
    }
}

/// Clients whose question is under way at once.
const WINDOW: usize = 8;
/// A question is repeated after this, and given up after as many times.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: u32 = 4;

/// A client of the crowd and what it last said.
struct Asking {
    question: Question,
    tries: u32,
    again: Instant,
}

fn all(servers: &[&str]) -> Told<Vec<Ipv4Addr>> {
    servers.iter().map(|server| parse(server)).collect()
}

fn newcomers(
    kind: Kind,
    relay: &str,
    first: &str,
    count: &str,
) -> Told<(Ipv4Addr, impl Iterator<Item = Question>)> {
    let (relay, first, count) = (parse::<Ipv4Addr>(relay)?, parse::<u32>(first)?, parse::<u32>(count)?);
    let questions = (first..first + count).map(move |number| Question {
        kind,
        xid: number,
        hardware: hardware(number),
        ciaddr: None,
        giaddr: Some(relay),
        requested: None,
        server: None,
    });
    Ok((relay, questions))
}

/// Prints all offers that come within a second of each question.
fn discover(relay: Ipv4Addr, servers: &[Ipv4Addr], questions: impl Iterator<Item = Question>) -> Told {
    let socket = UdpSocket::bind((relay, 67)).map_err(words)?;
    socket.set_read_timeout(Some(Duration::from_millis(100))).map_err(words)?;
    let mut buffer = [0; 1500];
    for question in questions {
        for server in servers {
            socket.send_to(&question.encode(), (*server, 67)).map_err(words)?;
        }
        let end = Instant::now() + Duration::from_secs(1);
        while Instant::now() < end {
            let Ok((len, _)) = socket.recv_from(&mut buffer) else { continue };
            let answer = Answer(&buffer[..len]);
            if answer.xid() == Some(question.xid)
                && let (Some(address), Some(server)) = (answer.address(), answer.server())
            {
                println!(
                    "{} {address} {server} {}",
                    question.xid,
                    answer.lease_seconds().unwrap_or_default()
                );
            }
        }
    }
    Ok(())
}

fn each(verb: &str, relay: &str, server: &str) -> Told {
    let (relay, server) = (parse::<Ipv4Addr>(relay)?, parse::<Ipv4Addr>(server)?);
    let mut questions = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(words)?;
        let mut columns = line.split_whitespace();
        let (Some(number), Some(address)) = (columns.next(), columns.next()) else {
            return Err(format!("`{line}`"));
        };
        let number = parse(number)?;
        let question = about(verb, number, hardware(number), parse(address)?, server)?;
        questions.push(Question { giaddr: Some(relay), ..question });
    }
    converse(relay, &[server], questions.into_iter())
}

/// Asks for all of them, a few at a time, and prints what each got.
fn converse(relay: Ipv4Addr, servers: &[Ipv4Addr], mut questions: impl Iterator<Item = Question>) -> Told {
    let socket = UdpSocket::bind((relay, 67)).map_err(words)?;
    socket.set_read_timeout(Some(Duration::from_millis(50))).map_err(words)?;
    let say = |question: &Question| -> Told {
        servers.iter().try_for_each(|server| {
            socket.send_to(&question.encode(), (*server, 67)).map(|_| ()).map_err(words)
        })
    };
    let mut asking: BTreeMap<u32, Asking> = BTreeMap::new();
    loop {
        while asking.len() < WINDOW {
            let Some(question) = questions.next() else { break };
            say(&question)?;
            if matches!(question.kind, Kind::Release | Kind::Decline) {
                // Nobody answers; a server that is flooded drops.
                std::thread::sleep(Duration::from_millis(2));
                continue;
            }
            let again = Instant::now() + PATIENCE;
            asking.insert(question.xid, Asking { question, tries: 1, again });
        }
        if asking.is_empty() {
            return Ok(());
        }
        let mut buffer = [0; 1500];
        match socket.recv_from(&mut buffer) {
            Ok((len, _)) => hear(&mut asking, Answer(&buffer[..len]), &say)?,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(words(error)),
        }
        asking.retain(|_, client| client.tries <= TRIES);
        for client in asking.values_mut().filter(|client| client.again <= Instant::now()) {
            client.tries += 1;
            client.again += PATIENCE;
            say(&client.question)?;
        }
    }
}

fn hear(asking: &mut BTreeMap<u32, Asking>, answer: Answer<'_>, say: &impl Fn(&Question) -> Told) -> Told {
    let Some(client) = answer.xid().and_then(|xid| asking.get_mut(&xid)) else { return Ok(()) };
    if client.question.kind == Kind::Bootp {
        let (Some(address), Some(server)) = (answer.address(), answer.next_server()) else { return Ok(()) };
        let number = client.question.xid;
        println!("{number} {address} {server} 0");
        asking.remove(&number);
        return Ok(());
    }
    let (Some(address), Some(server), Some(kind)) = (answer.address(), answer.server(), answer.kind()) else {
        return Ok(());
    };
    if client.question.kind == Kind::Discover && kind == Kind::Offer as u8 {
        client.question = Question {
            kind: Kind::Request,
            requested: Some(address),
            server: Some(server),
            ..client.question
        };
        client.again = Instant::now() + PATIENCE;
        client.tries = 1;
        return say(&client.question);
    }
    if client.question.kind == Kind::Request && kind == Kind::Ack as u8 {
        let number = client.question.xid;
        println!("{number} {address} {server} {}", answer.lease_seconds().unwrap_or_default());
        asking.remove(&number);
    }
    Ok(())
}

fn hardware(number: u32) -> [u8; 6] {
    let [a, b, c, d] = number.to_be_bytes();
    [2, 1, a, b, c, d]
}

fn parse<T: std::str::FromStr>(text: &str) -> Told<T> {
    text.parse().map_err(|_| format!("`{text}` is no {}", std::any::type_name::<T>()))
}

fn words(error: std::io::Error) -> String {
    error.to_string()
}
