//! The dialogue of one connection (RFC 2033; RFC 5321, sections 3 and 4).

use tokio::io::{AsyncRead, AsyncWrite};

use crate::lists::EmailAddress;

use super::commands::{Command, Mail, Recipient};
use super::connection::{Connection, End, Stop};
use super::data::Decoder;
use super::listen::Peer;
use super::pace::Pace;
use super::received;
use super::reply::{Refusal, Reply, shown};
use super::seats::Seat;
use super::server::Shared;
use super::traits::{Directory, Intake};
use super::transaction::{Transaction, Transfer, sender_for_log};

/// Serves one connection until it ends. Never panics, whatever the client sends.
pub(super) async fn serve<S, D, I>(stream: S, peer: Peer, shared: &Shared<D, I>, stop: Stop, seat: &Seat)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    D: Directory,
    I: Intake,
{
    let connection = Connection::new(stream, shared.settings.timeout, stop, seat);
    let mut session = Session {
        connection,
        seat,
        peer,
        shared,
        client: None,
        transaction: None,
        receiving: false,
        unknown_commands: 0,
    };
    let host = shared.settings.hostname.clone();
    let last_words = match session.dialogue().await {
        Ok(()) => None,
        Err(End::Disconnected(reason)) => {
            session.log_disconnect(reason);
            return;
        }
        Err(End::Timeout) => Some(Refusal::Timeout { host, seconds: shared.settings.timeout.as_secs() }),
        Err(End::MakeRoom) => Some(Refusal::MakeRoom { host }),
        Err(End::Stopping) => Some(Refusal::Stopping { host }),
    };
    if let Some(refusal) = last_words {
        session.refuse(&refusal);
    }
    session.connection.close().await;
}

struct Session<'a, S, D, I> {
    connection: Connection<'a, S>,
    seat: &'a Seat,
    peer: Peer,
    shared: &'a Shared<D, I>,
    /// What the client called itself with LHLO.
    client: Option<String>,
    /// Since MAIL.
    transaction: Option<Transaction>,
    /// Between DATA and the final dot.
    receiving: bool,
    /// Since the last accepted message.
    unknown_commands: u32,
}

impl<S, D, I> Session<'_, S, D, I>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    D: Directory,
    I: Intake,
{
    /// From greeting to QUIT.
    async fn dialogue(&mut self) -> Result<(), End> {
        let greeting = format!("{} LMTP Postrider", self.shared.settings.hostname);
        self.connection.say(&Reply::new(220, "", greeting));
        loop {
            let answer = match self.connection.command().await? {
                Ok(Command::Quit) => {
                    self.connection.say(&Reply::BYE);
                    return self.connection.flush().await;
                }
                Ok(Command::Data) => match self.data().await? {
                    // It has answered for each recipient.
                    Ok(()) => {
                        self.seat.is_in_transaction(false);
                        self.seat.was_served();
                        // Whoever did not hear of a 250 sends the message again: these replies are not given up for others.
                        self.connection.flush().await?;
                        continue;
                    }
                    Err(refusal) => Err(refusal),
                },
                Ok(command) => {
                    let names = matches!(command, Command::Mail(_) | Command::Rcpt(_));
                    let answer = self.obey(command).await;
                    if names {
                        self.seat.has_named();
                    }
                    answer
                }
                Err(refusal) => Err(refusal),
            };
            self.seat.is_in_transaction(self.transaction.is_some());
            match answer {
                Ok(reply) => self.connection.say(&reply),
                Err(refusal) if refusal.is_unknown_command() && self.is_one_too_many() => {
                    self.refuse(&Refusal::TooManyErrors { host: self.shared.settings.hostname.clone() });
                    return Ok(());
                }
                Err(refusal) => self.refuse(&refusal),
            }
        }
    }

    /// All commands that are answered with one reply.
    async fn obey(&mut self, command: Command) -> Result<Reply, Refusal> {
        match command {
            Command::Lhlo(name) => Ok(self.lhlo(name)),
            Command::Mail(mail) => self.mail(mail),
            Command::Rcpt(recipient) => self.rcpt(recipient).await,
            Command::Rset => {
                self.transaction = None;
                Ok(Reply::OK)
            }
            Command::Noop => Ok(Reply::OK),
            Command::Help => Ok(Reply::HELP),
            Command::Vrfy => Ok(Reply::TRY_IT),
            Command::Data | Command::Quit => Err(Refusal::NotImplemented), // the dialogue's own
        }
    }

    fn lhlo(&mut self, name: String) -> Reply {
        self.client = Some(name);
        self.transaction = None;
        let settings = &self.shared.settings;
        let text = format!(
            "{}\nPIPELINING\nENHANCEDSTATUSCODES\nSIZE {}\n8BITMIME\nSMTPUTF8",
            settings.hostname, settings.max_message_size
        );
        Reply::new(250, "", text)
    }

    fn mail(&mut self, mail: Mail) -> Result<Reply, Refusal> {
        if self.client.is_none() {
            return Err(Refusal::BadSequence("Say LHLO first"));
        }
        if self.transaction.is_some() {
            return Err(Refusal::BadSequence("MAIL was said already; RSET begins anew"));
        }
        let limit = self.shared.settings.max_message_size;
        if limit > 0 && mail.size.is_some_and(|size| size > limit) {
            return Err(Refusal::MessageTooLarge(limit));
        }
        if self.shared.intake.is_short_of_space() {
            return Err(Refusal::NoSpace);
        }
        self.transaction = Some(Transaction::new(mail.sender, mail.smtputf8));
        Ok(Reply::SENDER_OK)
    }

    async fn rcpt(&mut self, recipient: Recipient) -> Result<Reply, Refusal> {
        let settings = &self.shared.settings;
        let transaction = self.transaction.as_mut().ok_or(Refusal::BadSequence("Say MAIL first"))?;
        if let Recipient::Address(address) = &recipient
            && !transaction.smtputf8
            && !address.is_ascii()
        {
            return Err(Refusal::NeedsSmtputf8(shown(address.as_str())));
        }
        if settings.max_recipients > 0 && transaction.accepted() >= settings.max_recipients {
            return Err(Refusal::TooManyRecipients(settings.max_recipients));
        }
        match recipient {
            Recipient::Postmaster => transaction.add_postmaster(&settings.site_owner),
            Recipient::Address(address) => {
                let directory = &self.shared.directory;
                if let Some(route) = directory.resolve(&address).await.map_err(|e| trouble(&address, &e))? {
                    transaction.add(&address, route);
                } else if is_postmaster(&address)
                    && directory.is_local_domain(address.domain()).await.map_err(|e| trouble(&address, &e))?
                {
                    transaction.add_postmaster(&settings.site_owner);
                } else {
                    return Err(Refusal::NoSuchRecipient(shown(address.as_str())));
                }
            }
        }
        Ok(Reply::RECIPIENT_OK)
    }

    /// From DATA to the replies after the dot; `Ok(Err(_))`: no message was begun.
    async fn data(&mut self) -> Result<Result<(), Refusal>, End> {
        let Some(transaction) = self.transaction.take_if(|transaction| transaction.accepted() > 0) else {
            return Ok(Err(Refusal::BadSequence(match self.transaction {
                Some(_) => "No valid recipients; say RCPT first",
                None => "Say MAIL and RCPT first",
            })));
        };
        let settings = &self.shared.settings;
        let client = self.client.as_deref().unwrap_or("unknown");
        let trace_id = received::new_id();
        let trace = received::line(client, &self.peer, &settings.hostname, transaction.smtputf8, &trace_id);
        let mut transfer = Transfer::begin(self.shared.intake.body_writer(), &trace, settings.max_message_size).await;

        self.connection.say(&Reply::SEND_DATA);
        self.connection.flush().await?;
        self.receiving = true;
        let mut decoder = Decoder::new();
        let mut pace = Pace::new(settings.timeout, settings.min_data_rate, settings.max_message_size);
        let mut content = Vec::new();
        while !decoder.is_at_end() {
            self.connection.content(&mut pace, &mut decoder, &mut content).await?;
            transfer.write(&content).await;
            content.clear();
        }
        self.receiving = false;

        let (sender, replies, size) = (sender_for_log(&transaction), transaction.accepted(), transfer.size());
        match transfer.finish(&self.shared.intake, transaction).await {
            Ok(id) => {
                self.unknown_commands = 0;
                tracing::info!(target: "lmtp", from = %sender, rcpt = replies, size, id, trace = %trace_id, "accepted");
                let reply = Reply::new(250, "2.0.0", format!("Accepted as {trace_id}"));
                (0..replies).for_each(|_| self.connection.say(&reply));
            }
            Err(refusal) => {
                let reply = refusal.reply();
                tracing::info!(
                    target: "lmtp",
                    from = %sender, rcpt = replies, size, peer = %self.peer,
                    "refused after DATA: {} {} {}", reply.code, reply.status, reply.text
                );
                (0..replies).for_each(|_| self.connection.say(&reply));
            }
        }
        Ok(Ok(()))
    }

    /// Counts a command that is none; whether that is more than we take.
    fn is_one_too_many(&mut self) -> bool {
        self.unknown_commands += 1;
        self.unknown_commands >= self.shared.settings.max_unknown_commands
    }

    fn refuse(&mut self, refusal: &Refusal) {
        let reply = refusal.reply();
        tracing::info!(target: "lmtp", peer = %self.peer, "refused: {} {} {}", reply.code, reply.status, reply.text);
        self.connection.say(&reply);
    }

    fn log_disconnect(&self, reason: Option<std::io::Error>) {
        let reason = reason.map_or_else(|| "closed".to_owned(), |error| error.to_string());
        if self.receiving {
            tracing::info!(target: "lmtp", peer = %self.peer, "lost the connection within a message, nothing was kept: {reason}");
        } else if self.transaction.is_some() {
            tracing::info!(target: "lmtp", peer = %self.peer, "lost the connection within a transaction: {reason}");
        } else {
            tracing::debug!(target: "lmtp", peer = %self.peer, "the connection ended without QUIT: {reason}");
        }
    }
}

/// RFC 5321, section 4.5.1: every domain of ours has a postmaster.
fn is_postmaster(address: &EmailAddress) -> bool {
    address.local_part().trim_matches('"').eq_ignore_ascii_case("postmaster")
}

fn trouble(address: &EmailAddress, error: &crate::store::StoreError) -> Refusal {
    tracing::error!(target: "lmtp", "{address:?} cannot be looked up: {error}");
    Refusal::Trouble
}
