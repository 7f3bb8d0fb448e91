"""What a mail server's answer means, asked of a real one."""

import asyncio

import pytest

from services.notifier.channels import Smtp, Verdict
from services.notifier.messages import Composer
from tests.notifier.samples import BOOKER, LETTERHEAD, SAMPLES, event
from tests.servers import HOST, MailSink, free_port

MAIL = Composer(LETTERHEAD).compose(event("reservation.confirmed", SAMPLES["reservation.confirmed"]()))[0].content


async def test_accepted_mail_arrives_unchanged(sink: MailSink, channel: Smtp) -> None:
    """Byte for byte, so what was tested is what people get."""
    answer = await channel.send(BOOKER, MAIL)
    assert (answer.verdict, answer.code) == (Verdict.ACCEPTED, 250)
    assert sink.raw == [MAIL]


async def test_451_is_temporary_and_the_next_try_goes_through(sink: MailSink, channel: Smtp) -> None:
    """Greylisting, a full queue: ask again later."""
    sink.answers = ["451 try later"]
    answer = await channel.send(BOOKER, MAIL)
    assert (answer.verdict, answer.code) == (Verdict.TEMPORARY, 451)
    assert (await channel.send(BOOKER, MAIL)).verdict is Verdict.ACCEPTED


async def test_550_to_the_content_is_final(sink: MailSink, channel: Smtp) -> None:
    """Asking again would only be a nuisance."""
    sink.answers = ["550 no thanks"]
    answer = await channel.send(BOOKER, MAIL)
    assert (answer.verdict, answer.code) == (Verdict.PERMANENT, 550)


@pytest.mark.parametrize(
    ("reply", "verdict"), [("550 no such person", Verdict.PERMANENT), ("450 mailbox busy", Verdict.TEMPORARY)]
)
async def test_answer_to_the_recipient_counts(sink: MailSink, channel: Smtp, reply: str, verdict: Verdict) -> None:
    """The server's word about the recipient is about this mail."""
    sink.refused_recipients = {BOOKER: reply}
    assert (await channel.send(BOOKER, MAIL)).verdict is verdict


async def test_connection_closed_after_the_data_is_temporary(sink: MailSink, channel: Smtp) -> None:
    """Nobody knows whether the mail was taken: it is sent again, under the same Message-ID."""
    sink.answers = ["close"]
    assert (await channel.send(BOOKER, MAIL)).verdict is Verdict.TEMPORARY


async def test_nobody_listening_is_temporary() -> None:
    """The mail server is away."""
    assert (await Smtp(HOST, free_port(), LETTERHEAD.sender, timeout=5).send(BOOKER, MAIL)).verdict is Verdict.TEMPORARY


async def test_silence_is_temporary() -> None:
    """A server that accepts and then says nothing is left after the timeout."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    answer = await Smtp(HOST, port, LETTERHEAD.sender, timeout=0.2).send(BOOKER, MAIL)
    server.close()
    assert answer.verdict is Verdict.TEMPORARY


async def test_encryption_that_is_not_offered_is_never_done_without(sink: MailSink) -> None:
    """`required` means it: nothing is sent in the clear, and the mail waits."""
    channel = Smtp(HOST, sink.port, LETTERHEAD.sender, encryption="required", timeout=10)
    assert (await channel.send(BOOKER, MAIL)).verdict is Verdict.TEMPORARY
    assert sink.taken == []


async def test_refused_password_is_temporary(sink: MailSink) -> None:
    """It speaks about the installation, not about the mail: no mail is lost over it."""
    channel = Smtp(HOST, sink.port, LETTERHEAD.sender, encryption="off", user="u", password="p", timeout=10)
    assert (await channel.send(BOOKER, MAIL)).verdict is Verdict.TEMPORARY
