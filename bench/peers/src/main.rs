//! What the broker is measured beside, and who asks: `peers origin|names|tunnel|hudsucker|nono|ask …`. Each
//! server prints the port that it took and serves until its standard input ends.

mod ask;
mod hudsucker_peer;
mod names;
mod nono_peer;
mod origin;
mod tunnel;

use std::io::Read as _;

fn main() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("no provider yet");
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match words.as_slice() {
        ["origin", certificate, key, offers @ ..] => {
            runtime.block_on(beside(origin::serve(certificate, key, offers)));
        }
        ["names"] => runtime.block_on(beside(names::serve())),
        ["tunnel"] => runtime.block_on(beside(tunnel::serve())),
        ["hudsucker", certificate, key, trusted] => {
            runtime.block_on(beside(hudsucker_peer::serve(certificate, key, trusted)));
        }
        ["nono", host, port, directory] => runtime.block_on(beside(nono_peer::serve(host, port, directory))),
        ["ask", rest @ ..] => runtime.block_on(ask::run(rest)),
        _ => eprintln!(
            "peers origin CERT KEY PROTOCOL… | names | tunnel | hudsucker CA KEY TRUSTED | nono HOST PORT DIRECTORY | ask …"
        ),
    }
}

/// Serves until whoever started this closes its standard input.
async fn beside(server: impl Future<Output = ()>) {
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        () = server => {}
        _ = ended => {}
    }
}

/// Tells the port.
fn listening(listener: &tokio::net::TcpListener) {
    println!("{}", listener.local_addr().expect("an address").port());
}
