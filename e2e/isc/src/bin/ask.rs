//! `ask renew|release NUMBER ADDRESS SERVER`: one message of a client that has an address, to the server of
//! the caller's choice. Prints the seconds of the lease that a renewal brought.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

const REQUEST: u8 = 3;
const ACK: u8 = 5;
const RELEASE: u8 = 7;
const MESSAGE_TYPE: u8 = 53;
const LEASE_TIME: u8 = 51;
const SERVER_ID: u8 = 54;
const OPTIONS_AT: usize = 240;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match ask(&arguments) {
        Ok(answer) => println!("{answer}"),
        Err(why) => {
            eprintln!("{why}");
            std::process::exit(1);
        }
    }
}

fn ask(arguments: &[String]) -> Result<String, String> {
    let [verb, number, address, server] = arguments else { return Err("four arguments".to_owned()) };
    let words = |error: std::io::Error| error.to_string();
    let number: u8 = number.parse().map_err(|_| "no number")?;
    let address: Ipv4Addr = address.parse().map_err(|_| "no address")?;
    let server: Ipv4Addr = server.parse().map_err(|_| "no server")?;
    let socket = UdpSocket::bind((address, 68)).map_err(words)?;
    socket.set_read_timeout(Some(Duration::from_secs(2))).map_err(words)?;
    let mut tries = 3;
    while tries > 0 {
        tries -= 1;
        let release = verb == "release";
        let packet = message(if release { RELEASE } else { REQUEST }, number, address, server);
        socket.send_to(&packet, (server, 67)).map_err(words)?;
        if release {
            return Ok(String::new());
        }
        let mut buffer = [0; 1500];
        let Ok((len, _)) = socket.recv_from(&mut buffer) else { continue };
        let answer = &buffer[..len];
        return match option(answer, MESSAGE_TYPE).as_deref() {
            Some([ACK]) => {
                let seconds = option(answer, LEASE_TIME).and_then(|bytes| bytes.try_into().ok());
                seconds
                    .map(|bytes| u32::from_be_bytes(bytes).to_string())
                    .ok_or_else(|| "no lease time".to_owned())
            }
            other => Err(format!("{server} answered {other:?}")),
        };
    }
    Err(format!("{server} does not answer"))
}

fn message(kind: u8, number: u8, address: Ipv4Addr, server: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0; 236];
    packet[..4].copy_from_slice(&[1, 1, 6, 0]);
    packet[4..8].copy_from_slice(&std::process::id().to_be_bytes());
    packet[12..16].copy_from_slice(&address.octets());
    packet[28..34].copy_from_slice(&[2, 0, 0, 0, 0, number]);
    packet.extend([99, 130, 83, 99, MESSAGE_TYPE, 1, kind]);
    if kind == RELEASE {
        packet.extend([SERVER_ID, 4]);
        packet.extend(server.octets());
    }
    packet.push(255);
    packet.resize(300, 0);
    packet
}

fn option(packet: &[u8], code: u8) -> Option<Vec<u8>> {
    let mut rest = packet.get(OPTIONS_AT..)?;
    loop {
        match rest {
            [0, more @ ..] => rest = more,
            [255, ..] | [] => return None,
            [found, len, more @ ..] => {
                let (value, after) = more.split_at_checked(usize::from(*len))?;
                if *found == code {
                    return Some(value.to_vec());
                }
                rest = after;
            }
            [_] => return None,
        }
    }
}
