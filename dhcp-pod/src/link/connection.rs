//! One established connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use server::ConnId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc};

use super::trace::Direction;
use super::{CHUNK_BYTES, Input, Outgoing, Shared};

/// How long a connection that is to be closed may still take to write what it was given.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Carries octets both ways until either end closes, then tells the engine.
pub(super) async fn carry<S: AsyncRead + AsyncWrite + Send>(shared: &Shared, stream: S) {
    let conn = shared.new_connection();
    let (reader, writer) = tokio::io::split(stream);
    let (pieces, given) = mpsc::channel(1);
    let closing = Arc::new(Notify::new());
    if !shared.tell(Input::Up(conn, Outgoing { pieces, closing: closing.clone() })).await {
        return;
    }
    let overdue = async {
        closing.notified().await;
        tokio::time::sleep(CLOSE_TIMEOUT).await;
    };
    tokio::select! {
        () = read(shared, conn, reader) => {}
        outcome = write(shared, conn, writer, given) => {
            if let Err(error) = outcome {
                tracing::debug!("writing to the partner: {error}");
            }
        }
        () = overdue => tracing::debug!("the partner takes nothing; closing all the same"),
    }
    shared.tell(Input::Down(conn)).await;
}

async fn read<S: AsyncRead>(shared: &Shared, conn: ConnId, mut reader: ReadHalf<S>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut passing = Direction::incoming(&shared.settings.tracer, conn);
    // An error says no more than an end: the connection is gone.
    while let Ok(len @ 1..) = reader.read(&mut buffer).await {
        passing.note(&buffer[..len]);
        if !shared.tell(Input::Bytes(conn, buffer[..len].to_vec())).await {
            return;
        }
    }
}

async fn write<S: AsyncWrite>(
    shared: &Shared,
    conn: ConnId,
    mut writer: WriteHalf<S>,
    mut given: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let mut passing = Direction::outgoing(&shared.settings.tracer, conn);
    while let Some(piece) = given.recv().await {
        passing.note(&piece);
        writer.write_all(&piece).await?;
        writer.flush().await?;
        // There is room for the next piece, which the engine builds only now: newest data first-come.
        shared.engine.wake();
    }
    writer.shutdown().await
}
