//! How many connections there may be.

use std::net::Ipv4Addr;
use std::time::Duration;

use strongroom_net::Limits;

use crate::harness::{Client, TestFront};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn connected(front: &TestFront, address: Ipv4Addr) -> Client {
    let mut client = front.client_at(address);
    client.send(GET);
    client.answer().assert_ok();
    client
}

fn assert_turned_away(front: &TestFront, address: Ipv4Addr) {
    let mut client = front.client_at(address);
    client.send(GET);
    let answer = client.answer();
    answer.assert_refusal(503, "unavailable");
    client.assert_closed();
}

/// A seat is given back soon after the client left.
fn assert_room_soon(front: &TestFront, address: Ipv4Addr) {
    for _ in 0..200 {
        let mut client = front.client_at(address);
        client.send(GET);
        if client.answer().status == 200 {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no seat came back");
}

#[test]
fn one_address_has_so_many() {
    let front = TestFront::start(Limits { max_connections_per_address: 3, ..Limits::default() });
    let (here, there) = ([127, 0, 0, 2].into(), [127, 0, 0, 3].into());
    let clients: Vec<_> = (0..3).map(|_| connected(&front, here)).collect();
    assert_turned_away(&front, here);
    let _other = connected(&front, there);
    drop(clients);
    assert_room_soon(&front, here);
}

#[test]
fn all_together_have_so_many() {
    let front = TestFront::start(Limits { max_connections: 4, ..Limits::default() });
    let clients: Vec<_> = (1..5).map(|host| connected(&front, [127, 0, 0, host].into())).collect();
    assert_turned_away(&front, [127, 0, 0, 9].into());
    drop(clients);
    assert_room_soon(&front, [127, 0, 0, 9].into());
}

#[test]
fn those_turned_away_hold_nothing_for_long() {
    let front = TestFront::start(Limits { max_connections: 0, ..Limits::default() });
    let mut clients: Vec<_> = (0..300).map(|_| front.client()).collect();
    let told = clients.iter_mut().map(|client| usize::from(!client.rest().is_empty())).sum::<usize>();
    assert!(told >= 256, "{told}");
}
