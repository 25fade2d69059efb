//! A server of the domain name system that knows the TXT records it is told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::TXT;
use hickory_resolver::proto::rr::{RData, Record};
use tokio::net::UdpSocket;

pub struct Zone {
    pub addr: SocketAddr,
    /// By name, with a dot at its end.
    records: Arc<Mutex<HashMap<String, Vec<String>>>>,
}

impl Zone {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let records = Arc::<Mutex<HashMap<String, Vec<String>>>>::default();
        let known = Arc::clone(&records);
        tokio::spawn(async move {
            let mut packet = [0; 1500];
            loop {
                let (length, client) = socket.recv_from(&mut packet).await.unwrap();
                let answer = answer(&packet[..length], &known.lock().unwrap());
                socket.send_to(&answer, client).await.unwrap();
            }
        });
        Self { addr, records }
    }

    /// The option that has a server ask this one.
    pub fn flag(&self) -> String {
        format!("--dns-server={}", self.addr)
    }

    /// Publishes one more record.
    pub fn publish(&self, name: &str, text: &str) {
        let mut records = self.records.lock().unwrap();
        records.entry(format!("{name}.")).or_default().push(text.to_owned());
    }
}

fn answer(question: &[u8], known: &HashMap<String, Vec<String>>) -> Vec<u8> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    match known.get(&query.name.to_ascii().to_lowercase()) {
        None => answer.metadata.response_code = ResponseCode::NXDomain,
        Some(texts) => {
            for text in texts {
                // In strings of 20 bytes, as a record may come.
                let strings = text.as_bytes().chunks(20).collect();
                let data = RData::TXT(TXT::from_bytes(strings));
                answer.add_answer(Record::from_rdata(query.name.clone(), 60, data));
            }
        }
    }
    answer.add_query(query);
    answer.to_vec().unwrap()
}
