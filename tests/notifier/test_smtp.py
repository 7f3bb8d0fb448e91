"""What a mail server's answer means, asked of a real one that misbehaves on purpose."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.installation.ports import free_port
from services.notifier.channels import SendVerdict
from services.notifier.smtp import MOST_IN_A_SESSION, Pace, Smtp, SmtpServer
from tests.notifier.new_deliveries import LETTER, claim
from tests.notifier.samples import BOOKER, LETTERHEAD
from tests.patience import PATIENCE_SECONDS
from tests.servers import HOST, MailSink

PLAIN = SmtpServer(HOST, 0, LETTERHEAD.sender, encryption="off", timeout=PATIENCE_SECONDS, rate=1000)


async def test_accepted_mail_arrives_unchanged(sink: MailSink, channel: Smtp) -> None:
    """Byte for byte, so what was tested is what people get."""
    answer = await channel.send(claim())
    assert (answer.verdict, answer.code) == (SendVerdict.ACCEPTED, 250)
    assert sink.raw == [LETTER]


async def test_451_is_temporary_and_the_next_try_goes_through(sink: MailSink, channel: Smtp) -> None:
    """Greylisting, a full queue: ask again later."""
    sink.answers = ["451 try later"]
    answer = await channel.send(claim())
    assert (answer.verdict, answer.code) == (SendVerdict.TEMPORARY, 451)
    assert (await channel.send(claim())).verdict is SendVerdict.ACCEPTED


async def test_421_means_the_server_and_not_the_mail(sink: MailSink, channel: Smtp) -> None:
    """It closes: to ask for the next mail would be in vain."""
    sink.answers = ["421 closing"]
    answer = await channel.send(claim())
    assert (answer.verdict, answer.code) == (SendVerdict.AWAY, 421)


async def test_550_to_the_content_is_final(sink: MailSink, channel: Smtp) -> None:
    """Asking again would only be a nuisance."""
    sink.answers = ["550 no thanks"]
    answer = await channel.send(claim())
    assert (answer.verdict, answer.code) == (SendVerdict.PERMANENT, 550)


@pytest.mark.parametrize(
    ("reply", "verdict"), [("550 no such person", SendVerdict.PERMANENT), ("450 mailbox busy", SendVerdict.TEMPORARY)]
)
async def test_answer_to_the_recipient_counts(sink: MailSink, channel: Smtp, reply: str, verdict: SendVerdict) -> None:
    """The server's word about the recipient is about this mail."""
    sink.refused_recipients = {BOOKER: reply}
    assert (await channel.send(claim())).verdict is verdict


@pytest.mark.parametrize("misdeed", ["close", "lost"])
async def test_connection_cut_after_the_data_is_temporary(sink: MailSink, channel: Smtp, misdeed: str) -> None:
    """Nobody knows whether the mail was taken: it is sent again, under the same Message-ID."""
    sink.answers = [misdeed]
    assert (await channel.send(claim())).verdict is SendVerdict.TEMPORARY
    assert (await channel.send(claim())).verdict is SendVerdict.ACCEPTED
    assert len(sink.taken) == (2 if misdeed == "lost" else 1)
    assert len(set(sink.message_ids())) == 1


async def test_a_stall_after_the_data_is_temporary(sink: MailSink) -> None:
    """Left after the timeout, and only this mail waits."""
    sink.answers = ["stall"]
    channel = Smtp(replace(PLAIN, port=sink.port, timeout=2))
    assert (await channel.send(claim())).verdict is SendVerdict.TEMPORARY
    assert (await channel.send(claim())).verdict is SendVerdict.ACCEPTED


async def test_nobody_listening_is_an_outage() -> None:
    """The mail server is away: that says nothing about the mail."""
    answer = await Smtp(replace(PLAIN, port=free_port(), timeout=PATIENCE_SECONDS)).send(claim())
    assert (answer.verdict, answer.code) == (SendVerdict.AWAY, 0)


async def test_silence_is_an_outage() -> None:
    """A server that accepts and then says nothing is left after the timeout."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    answer = await Smtp(replace(PLAIN, port=port, timeout=0.2)).send(claim())
    server.close()
    assert answer.verdict is SendVerdict.AWAY


async def test_encryption_that_is_not_offered_is_never_done_without(sink: MailSink) -> None:
    """`required` means it: nothing is sent in the clear, and the mail waits."""
    channel = Smtp(replace(PLAIN, port=sink.port, encryption="required"))
    assert (await channel.send(claim())).verdict is SendVerdict.AWAY
    assert sink.taken == []


async def test_many_mails_share_a_session(sink: MailSink, channel: Smtp) -> None:
    """Up to what servers allow; and once there is nothing more to send, it is ended."""
    for _ in range(MOST_IN_A_SESSION + 1):
        assert (await channel.send(claim())).verdict is SendVerdict.ACCEPTED
    assert (len(sink.taken), sink.sessions) == (MOST_IN_A_SESSION + 1, 2)
    await channel.rest()
    await channel.send(claim())
    assert sink.sessions == 3


async def test_a_session_that_the_server_ended_meanwhile_is_no_outage(sink: MailSink, channel: Smtp) -> None:
    """It is found out before the mail is at stake."""
    await channel.send(claim())
    await sink.stop()
    await sink.start()
    channel._idle[0].client.close()
    assert (await channel.send(claim())).verdict is SendVerdict.ACCEPTED
    assert sink.sessions == 2


async def test_pace_is_even(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more than the rate, however many come at once."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr("services.notifier.smtp.time.monotonic", lambda: 100.0)
    pace = Pace(50)
    for _ in range(3):
        await pace.wait()
    assert slept == pytest.approx([0, 0.02, 0.04])


class Door:
    """Lets in who knows the word."""

    def __call__(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = (data.login, data.password) == (b"yunhui", b"sesame")
        return AuthResult(success=good, handled=good)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Key and self-signed certificate of 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sink")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "sink.pem"
    file.write_bytes(private + made.public_bytes(pem))
    return file


@pytest.fixture
async def strict(certificate: Path) -> AsyncIterator[MailSink]:
    """Takes mail only over TLS, and only from those it knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    made = MailSink(tls_context=context, require_starttls=True, auth_required=True, authenticator=Door())
    await made.start()
    yield made
    await made.stop()


@pytest.mark.parametrize("encryption", ["auto", "required"])
async def test_starttls_and_auth_where_they_are_demanded(strict: MailSink, certificate: Path, encryption: Any) -> None:
    """As most servers of organizations do."""
    known = replace(PLAIN, port=strict.port, encryption=encryption, user="yunhui", ca_file=str(certificate))
    answer = await Smtp(replace(known, password="sesame")).send(claim())
    assert answer.verdict is SendVerdict.ACCEPTED
    assert strict.raw == [LETTER]


async def test_a_wrong_password_an_unknown_server_and_no_encryption_keep_mails_waiting(
    strict: MailSink, certificate: Path
) -> None:
    """They speak about the installation, not about the mail: none is lost over it."""
    known = replace(PLAIN, port=strict.port, encryption="required", user="yunhui", password="sesame")
    for wrong in (
        replace(known, ca_file=str(certificate), password="guess"),
        replace(known, ca_file=None),
        replace(known, encryption="off"),
        replace(known, encryption="off", user="", password=""),
        replace(known, ca_file=str(certificate), user="", password=""),
    ):
        assert (await Smtp(wrong).send(claim())).verdict is SendVerdict.AWAY
    assert strict.taken == []
