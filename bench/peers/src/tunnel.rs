//! A proxy that only opens tunnels, and looks at nothing: every host is one on this machine.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

pub async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    crate::listening(&listener);
    loop {
        let Ok((near, _)) = listener.accept().await else { continue };
        tokio::spawn(tunnel(near));
    }
}

async fn tunnel(near: TcpStream) -> std::io::Result<()> {
    near.set_nodelay(true)?;
    let mut near = BufReader::new(near);
    let mut line = String::new();
    near.read_line(&mut line).await?;
    let port = line.split(' ').nth(1).and_then(|target| target.rsplit(':').next()).unwrap_or("0").to_owned();
    while line != "\r\n" {
        line.clear();
        near.read_line(&mut line).await?;
    }
    let mut far = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
    far.set_nodelay(true)?;
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}
