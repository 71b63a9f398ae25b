//! A broker that misbehaves as it is told: a socket and just enough bytes of MQTT 5.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::JoinHandle;

/// CONNACK: no session, success, no properties.
pub(crate) const CONNACK: &[u8] = &[0x20, 3, 0, 0, 0];
/// CONNACK: the session is present.
pub(crate) const CONNACK_SESSION: &[u8] = &[0x20, 3, 1, 0, 0];

/// CONNACK with this reason code.
pub(crate) fn refusal(code: u8) -> Vec<u8> {
    vec![0x20, 3, 0, code, 0]
}

/// PUBLISH QoS 1 without properties.
pub(crate) fn publish(topic: &str, pkid: u16, dup: bool, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend(pkid.to_be_bytes());
    body.push(0);
    body.extend(payload);
    let mut packet = vec![if dup { 0x3a } else { 0x32 }];
    let mut rest = body.len();
    loop {
        let byte = u8::try_from(rest % 128).unwrap();
        rest /= 128;
        packet.push(if rest > 0 { byte | 128 } else { byte });
        if rest == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// One packet of the client: its first byte and what follows the length.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

impl Packet {
    pub(crate) fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The first two bytes of the body, where that is the packet id.
    pub(crate) fn pkid(&self) -> u16 {
        u16::from_be_bytes([self.body[0], self.body[1]])
    }
}

impl Packet {
    /// The topic of a PUBLISH.
    pub(crate) fn topic(&self) -> String {
        let end = 2 + usize::from(self.pkid());
        String::from_utf8_lossy(&self.body[2..end]).into_owned()
    }

    /// The packet id of a PUBLISH with QoS 1.
    pub(crate) fn publish_pkid(&self) -> u16 {
        let place = 2 + usize::from(self.pkid());
        u16::from_be_bytes([self.body[place], self.body[place + 1]])
    }
}

pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const SUBSCRIBE: u8 = 8;
const PINGREQ: u8 = 12;
const DISCONNECT: u8 = 14;

/// The broker's end of one connection.
pub(crate) struct Conversation {
    stream: TcpStream,
}

impl Conversation {
    /// The next packet; `None` when the client is gone.
    pub(crate) fn read(&mut self) -> Option<Packet> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).ok()?;
        let first = byte[0];
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            self.stream.read_exact(&mut byte).ok()?;
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        Some(Packet { first, body })
    }

    /// Reads on until a packet of this kind; what the client asks on the way is answered.
    pub(crate) fn read_until(&mut self, kind: u8) -> Packet {
        loop {
            let packet = self.read().expect("the client went away");
            if packet.kind() == kind {
                return packet;
            }
            self.acknowledge(&packet);
        }
    }

    /// Reads and answers until the client is gone, or says that it goes.
    pub(crate) fn read_to_the_end(&mut self) {
        while let Some(packet) = self.read().filter(|packet| packet.kind() != DISCONNECT) {
            self.acknowledge(&packet);
        }
    }

    /// Reads until a PUBLISH on `topic`; acknowledges those on other topics.
    pub(crate) fn read_until_publish_on(&mut self, topic: &str) -> Packet {
        loop {
            let packet = self.read().expect("the client went away");
            if packet.kind() == PUBLISH && packet.topic() == topic {
                return packet;
            }
            self.acknowledge(&packet);
        }
    }

    /// Acknowledges a publish, grants a subscription, answers a ping.
    pub(crate) fn grant(&mut self, packet: &Packet) {
        if packet.kind() != SUBSCRIBE {
            return self.acknowledge(packet);
        }
        let pkid = packet.pkid().to_be_bytes();
        // After the properties: filters of two bytes of length, the text, and the options.
        let mut rest = &packet.body[3 + usize::from(packet.body[2])..];
        let mut granted = Vec::new();
        while let [high, low, ..] = rest {
            rest = &rest[3 + usize::from(u16::from_be_bytes([*high, *low]))..];
            granted.push(1);
        }
        let length = u8::try_from(3 + granted.len()).unwrap();
        self.write(&[&[0x90, length, pkid[0], pkid[1], 0][..], &granted].concat());
    }

    /// Answers pings until the client is gone, and acknowledges nothing.
    pub(crate) fn answer_all_but_publishes(&mut self) {
        while let Some(packet) = self.read() {
            if packet.kind() != PUBLISH {
                self.acknowledge(&packet);
            }
        }
    }

    fn acknowledge(&mut self, packet: &Packet) {
        if packet.kind() == PINGREQ {
            self.write(&[0xd0, 0]);
        }
        if packet.kind() == PUBLISH && packet.first & 0b110 != 0 {
            let pkid = packet.publish_pkid().to_be_bytes();
            self.write(&[0x40, 2, pkid[0], pkid[1]]);
        }
    }

    /// Writes; that the client may be gone is what some tests are about.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap_or(());
    }

    /// Reads CONNECT and answers with `connack`.
    pub(crate) fn accept(&mut self, connack: &[u8]) -> Packet {
        let connect = self.read().expect("a CONNECT");
        assert_eq!(connect.kind(), 1, "{connect:?}");
        self.write(connack);
        connect
    }
}

/// A listening fake; `script` is run for each connection with its number, one after the other.
pub(crate) struct FakeBroker {
    pub(crate) port: u16,
    thread: Option<JoinHandle<()>>,
}

impl FakeBroker {
    /// Serves `connections` connections.
    pub(crate) fn start(
        connections: usize,
        script: impl Fn(usize, &mut Conversation) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self::serve(listener, connections, script)
    }

    pub(crate) fn serve(
        listener: TcpListener,
        connections: usize,
        script: impl Fn(usize, &mut Conversation) + Send + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            for number in 0..connections {
                let (stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
                script(number, &mut Conversation { stream });
            }
        });
        Self { port, thread: Some(thread) }
    }

    /// Waits until the script is through; a failed assertion in it fails the test.
    pub(crate) async fn finish(mut self) {
        let thread = self.thread.take().unwrap();
        let joined = tokio::task::spawn_blocking(|| thread.join()).await.unwrap();
        if let Err(panic) = joined {
            std::panic::resume_unwind(panic);
        }
    }
}
