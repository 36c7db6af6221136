//! `strongroom backup`: an instance as it is in one moment into a file, sealed as it is,
//! encrypted to its recovery key, and signed. No value is opened.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;
use strongroom_core::audit::note::Signer;
use strongroom_core::backup::{Container, Manifest, Payload, RootKeyName, Table, Writer};
use strongroom_core::instance::Instance;
use strongroom_core::{App, Clock as _};
use strongroom_keys::recovery::Recipient;
use strongroom_store::backup::{Snapshot, schema};

use crate::cli::backups::{Backup, BackupCommand, VerifyBackup};
use crate::clock::SystemClock;
use crate::database::Site;
use crate::failure::{Exit, Failure};
use crate::partial::Partial;
use crate::{backups, instance, output};

pub(super) fn run(args: &Backup) -> Result<(), Failure> {
    match (&args.command, &args.out) {
        (Some(BackupCommand::Verify(args)), _) => verify(args),
        (None, Some(out)) => tokio::runtime::Runtime::new()?.block_on(back_up(args, out)),
        (None, None) => Err(Failure::new("--out names no file").exit(Exit::Usage)),
    }
}

/// Where a backup goes.
enum Out {
    File(Box<Partial>),
    /// Buffered: of a failed write of its first bytes the library that encrypts says only how it looks in Rust.
    Stdout(BufWriter<io::Stdout>),
}

impl Out {
    fn open(path: &Path, replaces: bool) -> Result<Self, Failure> {
        if path != Path::new("-") {
            return Ok(Self::File(Box::new(Partial::begin(path, replaces)?)));
        }
        if io::stdout().is_terminal() {
            return Err(Failure::new("a backup is no text for a terminal")
                .hint("name a file with --out, or send standard output somewhere else"));
        }
        Ok(Self::Stdout(BufWriter::new(io::stdout())))
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
    }
}

async fn back_up(args: &Backup, path: &Path) -> Result<(), Failure> {
    let site = Site::new(&args.place)?;
    let out = Out::open(path, args.force)?;
    let app = instance::open(site.inspect().await?.store(), &args.keeper, &site).await?;
    let (out, manifest) = written(&app, &site, out).await?;
    match out {
        Out::File(file) => {
            file.keep()?;
            output::answer(&if args.json { json(&manifest) } else { made(path, &manifest) })?;
        }
        Out::Stdout(mut stdout) => {
            stdout.flush()?;
            output::complain(&if args.json { json(&manifest) } else { made(path, &manifest) });
        }
    }
    Ok(())
}

/// Writes the whole file.
async fn written(app: &App, site: &Site, out: Out) -> Result<(Out, Manifest), Failure> {
    let made_at = SystemClock.now();
    let snapshot = site.snapshot().await?;
    // It says whom the backup is encrypted to.
    let instance = app.own_instance(snapshot.instance().clone())?;
    let signers = app.signers();
    let signer = signers.first().ok_or_else(|| Failure::new("the instance has no key to sign with"))?;
    let recipient = Recipient::parse(&instance.recovery_recipient)?;
    let cant = |error: io::Error| Failure::because("the backup can't be written", &error);
    let head = snapshot.head().await?;
    let bar = super::progress("backing up rows", snapshot.rows().await?);
    let encrypting = Writer::begin(out).and_then(|out| recipient.encrypting(out)).map_err(cant)?;
    let written = snapshot.write(encrypting, |rows| bar.inc(rows)).await;
    bar.finish_and_clear();
    let (encrypting, tables) = written?;
    let about =
        About { made_at: made_at.rfc3339().unwrap_or_default(), tables, head: head.map(|head| head.note) };
    let ended = encrypting.finish().and_then(|out| end(out, &snapshot, about, signer));
    ended.map_err(cant)
}

/// What is known when the payload is written.
struct About {
    made_at: String,
    tables: Vec<Table>,
    head: Option<String>,
}

fn end(out: Writer<Out>, snapshot: &Snapshot, about: About, signer: &Signer) -> io::Result<(Out, Manifest)> {
    let instance: &Instance = snapshot.instance().row();
    let manifest = Manifest {
        instance_id: instance.id.uuid(),
        made_at: about.made_at,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        schema: schema(),
        tables: about.tables,
        payload: Payload::default(),
        root_key: RootKeyName { provider: instance.root_provider.clone(), id: instance.root_key_id.uuid() },
        recovery_recipient: instance.recovery_recipient.clone(),
        checkpoint: about.head,
        verifier_key: String::new(),
    };
    out.finish(manifest, signer)
}

fn json(manifest: &Manifest) -> String {
    serde_json::to_string(manifest).unwrap_or_default()
}

fn made(path: &Path, manifest: &Manifest) -> String {
    let path = path.display();
    format!(
        "\
Backed up {rows} rows
{about}

Check it wherever it is kept, and try now and then whether the recovery key opens it:

  strongroom backup verify {path} --key {key}
  strongroom recovery test --identity FILE {path}",
        rows = manifest.rows(),
        about = about(manifest),
        key = manifest.verifier_key,
    )
}

fn verify(args: &VerifyBackup) -> Result<(), Failure> {
    let Container { manifest } = backups::verified(&args.file, args.verifier.as_ref())?;
    if args.json {
        return Ok(output::answer(&json(&manifest))?);
    }
    let trusted = match &args.verifier {
        Some(_) => "It is signed with the key that was given.",
        None => "Whether this is the instance that you trust is only told by --key, with the verifier key.",
    };
    let whole = format!("Every byte of {} is as it was signed", args.file.display());
    Ok(output::answer(&format!("{whole}\n{}\n\n{trusted}", about(&manifest)))?)
}

/// What is in it, from when, and what opens it, in lines of their own.
fn about(manifest: &Manifest) -> String {
    let events = manifest.checkpoint.as_deref().and_then(|note| note.lines().nth(1)).unwrap_or("0");
    format!(
        "
  from          {made_at}
  instance      {instance}
  made by       strongroom {program}, schema {schema}
  holds         {rows} rows: {secrets} secrets, {versions} versions, {events} sealed events
  opened by     the recovery key of {recipient}
  root key      {provider}, {root}
  verifier key  {key}",
        made_at = manifest.made_at,
        instance = manifest.instance_id,
        program = manifest.program,
        schema = manifest.schema,
        rows = manifest.rows(),
        secrets = manifest.rows_of("secrets"),
        versions = manifest.rows_of("versions"),
        recipient = manifest.recovery_recipient,
        provider = manifest.root_key.provider,
        root = manifest.root_key.id,
        key = manifest.verifier_key,
    )
}
