//! TLS, and passwords over it.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A certification authority of the test's own.
struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities of the same name would be one with a bad signature.
        let name = format!("authority {}", NUMBER.fetch_add(1, Ordering::SeqCst));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("key");
        Authority(rcgen::CertifiedIssuer::self_signed(params, key).expect("authority"))
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("root");
        roots
    }

    /// A server with a certificate for these names, changed as told.
    fn server(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let (key, mut params) = (KeyPair::generate().expect("key"), params(names));
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).expect("certificate");
        acceptor(certificate.der().clone(), &key)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names")
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("server");
    TlsAcceptor::from(Arc::new(server))
}

/// A server's TLS with a certificate for this name, and the roots that trust it.
fn certificate(name: &str) -> (TlsAcceptor, RootCertStore) {
    let authority = Authority::new();
    (authority.server(&[name], |_| ()), authority.roots())
}

fn secured(sink: &Sink, secure: SecureMode, verify: Verify, roots: RootCertStore) -> DeliverySettings {
    let mut settings = settings(sink);
    settings.target.secure = secure;
    settings.target.tls = Some(connector_with_roots(verify, roots).expect("TLS"));
    settings
}

async fn problem(settings: &DeliverySettings) -> String {
    super::super::session::Session::open(&settings.target).await.expect_err("it opened").to_string()
}

#[tokio::test]
async fn mail_goes_out_encrypted() {
    for secure in [SecureMode::Starttls, SecureMode::Smtps] {
        let (tls, roots) = certificate("127.0.0.1");
        let sink =
            sink(Script { tls: Some(tls), tls_from_start: secure == SecureMode::Smtps, ..Script::default() }).await;
        let settings = secured(&sink, secure, Verify::CertificateAndName, roots);
        let running = Running::start(settings, Outgoing::Smtp);
        let mut large = people(50);
        large.message = Arc::from("0123456789\r\n".repeat(200_000).as_bytes());
        push(&running, &large);
        assert_eq!(delivered(&running.results(50).await), 50, "{secure:?}");
        let messages = sink.messages();
        assert!(messages[0].encrypted);
        assert_eq!(messages[0].message, *large.message);
    }
}

#[tokio::test]
async fn an_encrypted_envelope_goes_with_the_end_of_the_message_before() {
    let (tls, roots) = certificate("127.0.0.1");
    let sink = sink(Script { tls: Some(tls), ..Script::default() }).await;
    let settings = secured(&sink, SecureMode::Starttls, Verify::CertificateAndName, roots);
    let running = Running::start(DeliverySettings { connections: 1, ..settings }, Outgoing::Smtp);
    let mut large = verp(people(5));
    large.message = Arc::from("0123456789\r\n".repeat(200_000).as_bytes());
    push(&running, &verp(people(30)));
    push(&running, &large);
    assert_eq!(delivered(&running.results(35).await), 35);
    assert_eq!((sink.dialogues().len(), sink.recipients().len()), (1, 35));
    let early = sink.messages().iter().filter(|one| one.followed).count();
    // 30 messages, and the last of a job is not followed; where a large one ends is the network's affair.
    assert!(early > 20, "{early}");
}

#[tokio::test]
async fn without_starttls_nothing_is_sent_in_the_clear() {
    let (_, roots) = certificate("127.0.0.1");
    let sink = sink(Script::default()).await;
    let settings = secured(&sink, SecureMode::Starttls, Verify::CertificateAndName, roots);
    assert!(problem(&settings).await.contains("does not offer STARTTLS"));
    assert_eq!(sink.dialogues()[0].len(), 1, "only EHLO");
}

#[tokio::test]
async fn plaintext_behind_the_reply_to_starttls_is_refused() {
    let (tls, roots) = certificate("127.0.0.1");
    let sink =
        sink(Script { tls: Some(tls), ..rude(Step::Starttls, Answer::say("220 go\r\n250-evil\r\n250 AUTH PLAIN")) })
            .await;
    let settings = secured(&sink, SecureMode::Starttls, Verify::CertificateAndName, roots);
    assert!(problem(&settings).await.contains("nobody asked for"));
}

#[tokio::test]
async fn certificates_are_verified_as_configured() {
    for (name, trusted, verify, refused) in [
        ("127.0.0.1", true, Verify::CertificateAndName, None),
        ("mx.example.com", true, Verify::CertificateAndName, Some("mx.example.com")),
        ("127.0.0.1", false, Verify::CertificateAndName, Some("smtp_verify_cert")),
        ("mx.example.com", true, Verify::Certificate, None),
        ("mx.example.com", false, Verify::Certificate, Some("smtp_verify_cert")),
        ("mx.example.com", false, Verify::Nothing, None),
    ] {
        let (tls, roots) = certificate(name);
        let roots = if trusted { roots } else { certificate("other").1 };
        let sink = sink(Script { tls: Some(tls), ..Script::default() }).await;
        let settings = secured(&sink, SecureMode::Starttls, verify, roots);
        match refused {
            None => assert!(
                super::super::session::Session::open(&settings.target).await.is_ok(),
                "{name} {trusted} {verify:?}"
            ),
            Some(text) => {
                let problem = problem(&settings).await;
                assert!(problem.contains(text) && problem.contains("127.0.0.1"), "{problem}");
            }
        }
    }
}

/// What is said of a server with this TLS; nothing may have been sent to it.
async fn refused(tls: TlsAcceptor, roots: &RootCertStore) -> String {
    let sink = sink(Script { tls: Some(tls), ..Script::default() }).await;
    let settings = secured(&sink, SecureMode::Starttls, Verify::CertificateAndName, roots.clone());
    let problem = problem(&settings).await;
    assert_eq!(sink.dialogues()[0].len(), 2, "EHLO and STARTTLS");
    problem
}

#[tokio::test]
async fn each_fault_of_a_certificate_is_told_with_what_to_do() {
    let authority = Authority::new();
    let roots = authority.roots();
    let host = ["127.0.0.1"];
    let problem = refused(authority.server(&["mail.example.com", "*.example.com", "192.0.2.1"], |_| ()), &roots).await;
    let told =
        "it is for mail.example.com, *.example.com, 192.0.2.1, and [mta] smtp_host is 127.0.0.1; set smtp_host to";
    assert!(problem.contains(told) && problem.contains("smtp_verify_hostname"), "{problem}");

    let expired = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 2, 29);
    let problem = refused(authority.server(&host, expired), &roots).await;
    assert!(problem.contains("it expired on 2020-02-29, ") && problem.contains("days ago; renew"), "{problem}");

    let early = |params: &mut CertificateParams| params.not_before = rcgen::date_time_ymd(2090, 1, 1);
    let problem = refused(authority.server(&host, early), &roots).await;
    assert!(problem.contains("valid from 2090-01-01, ") && problem.contains("clocks"), "{problem}");

    let problem = refused(Authority::new().server(&host, |_| ()), &roots).await;
    assert!(problem.contains("its issuer is not among") && problem.contains("smtp_verify_cert: no"), "{problem}");

    let key = KeyPair::generate().expect("key");
    let own = params(&host).self_signed(&key).expect("certificate");
    let problem = refused(acceptor(own.der().clone(), &key), &roots).await;
    assert!(problem.contains("it is self-signed; add it to the trusted roots"), "{problem}");

    // As `openssl req -x509` makes it.
    let mut ca = params(&host);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = ca.self_signed(&key).expect("certificate");
    let problem = refused(acceptor(own.der().clone(), &key), &roots).await;
    assert!(problem.contains("certification authority") && problem.contains("CA:FALSE"), "{problem}");
}

/// A server that answers the first words of TLS with these octets, from the start.
async fn ancient(answer: &'static [u8]) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
    let mut settings = DeliverySettings::for_target(Target::plain("127.0.0.1", 0));
    settings.target.port = listener.local_addr().expect("address").port();
    settings.target.secure = SecureMode::Smtps;
    settings.target.tls =
        Some(connector_with_roots(Verify::CertificateAndName, Authority::new().roots()).expect("TLS"));
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("client");
        let _ = tcp.read(&mut [0; 4096]).await;
        let _ = tcp.write_all(answer).await;
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    });
    problem(&settings).await
}

#[tokio::test]
async fn a_server_that_knows_only_old_tls_is_told_as_such() {
    // The fatal alert protocol_version, and a ServerHello of TLS 1.0 with TLS_RSA_WITH_AES_128_CBC_SHA.
    let mut hello = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    for answer in [&[21, 3, 1, 0, 2, 2, 70][..], hello.leak()] {
        let problem = ancient(answer).await;
        assert!(problem.contains("bring it up to date") && problem.contains("TLS 1.2"), "{problem}");
    }
}

#[tokio::test]
async fn a_refused_starttls_is_told_and_nothing_is_sent_in_the_clear() {
    let (tls, roots) = certificate("127.0.0.1");
    let rule = rude(Step::Starttls, Answer::say("454 4.7.0 TLS not available"));
    let sink = sink(Script { tls: Some(tls), ..rule }).await;
    let settings = secured(&sink, SecureMode::Starttls, Verify::CertificateAndName, roots);
    assert!(problem(&settings).await.contains("454 4.7.0 TLS not available (in reply to STARTTLS)"));
    assert_eq!(sink.dialogues()[0].len(), 2);
}

#[tokio::test]
async fn what_was_offered_in_the_clear_does_not_count_after_starttls() {
    // Whoever is in between could have added XVERP, CHUNKING or SIZE 1.
    let (tls, roots) = certificate("127.0.0.1");
    let said = AtomicUsize::new(0);
    let rule = move |moment: &Moment<'_>| {
        let first = moment.step == Step::Ehlo && said.fetch_add(1, Ordering::SeqCst) == 0;
        if first {
            Answer::say("250-mx\r\n250-SIZE 1\r\n250-CHUNKING\r\n250-XVERP\r\n250 STARTTLS")
        } else {
            Answer::Usual
        }
    };
    let sink = sink(Script { tls: Some(tls), ..Script::new(rule) }).await;
    let running =
        Running::start(secured(&sink, SecureMode::Starttls, Verify::CertificateAndName, roots), Outgoing::Smtp);
    push(&running, &verp(people(3)));
    assert_eq!(delivered(&running.results(3).await), 3);
    assert!(sink.dialogues()[0].iter().all(|line| !line.contains("XVERP") && !line.contains("BDAT")));
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_as_such() {
    let (_, roots) = certificate("127.0.0.1");
    let sink = sink(Script::default()).await;
    let settings = secured(&sink, SecureMode::Smtps, Verify::CertificateAndName, roots);
    assert!(problem(&settings).await.contains("smtp_secure_mode"));
}

#[tokio::test]
async fn passwords_are_given_and_never_shown() {
    for mechanisms in ["PLAIN LOGIN", "LOGIN"] {
        let login = Some(("anne".to_owned(), "secret-word".to_owned()));
        let sink = sink(Script { login, mechanisms, ..Script::default() }).await;
        let mut settings = settings(&sink);
        settings.target.login = Some(Login::new("anne", "secret-word"));
        let running = Running::start(settings.clone(), Outgoing::Smtp);
        push(&running, &people(1));
        assert_eq!(delivered(&running.results(1).await), 1);
        assert_eq!(sink.messages()[0].user.as_deref(), Some("anne"));
        settings.target.login = Some(Login::new("anne", "wrong-word"));
        let problem = problem(&settings).await;
        assert!(problem.contains("smtp_pass") && !problem.contains("wrong-word"), "{problem}");
    }
}

#[tokio::test]
async fn a_password_without_auth_is_an_error_and_no_bounce() {
    let sink = sink(Script::default()).await;
    let mut settings = settings(&sink);
    settings.target.login = Some(Login::new("anne", "secret-word"));
    assert!(problem(&settings).await.contains("it offers no AUTH"));
}
