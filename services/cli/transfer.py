"""`yunhui organization transfer`: a super administrator hands the organization over, the successor accepts."""

from collections.abc import Iterator

from yunhui.directory.v1 import organization_service_pb2 as api
from yunhui.directory.v1 import role_pb2 as pb

from services.cli import moments, rendering
from services.cli.arguments import confirm
from services.cli.client import Directory, open_directory
from services.cli.departments import Yes
from services.cli.members import Account
from services.cli.terminal import Terminal
from services.platform.text.messages import Text, message


def show(terminal: Terminal) -> None:
    with open_directory(terminal) as directory:
        answer = api.GetTransferResponse(transfer=get(directory))
    terminal.answer(answer, lambda to: show_transfer(to, answer.transfer))


def begin(terminal: Terminal, account: Account, yes: Yes = False) -> None:
    question = message("Hand the organization over to {account}? Once they accept, you are an administrator only.")
    confirm(terminal, question, yes=yes, account=account)
    with open_directory(terminal) as directory:
        request = api.BeginTransferRequest(account_id=account)
        answer = directory.ask(directory.stub.organization.BeginTransfer, request)
    terminal.answer(answer, lambda to: show_transfer(to, answer.transfer))


def accept(terminal: Terminal, yes: Yes = False) -> None:
    with open_directory(terminal) as directory:
        transfer = get(directory)
        question = message("Become super administrator in place of {account}?")
        confirm(terminal, question, yes=yes, account=transfer.from_account_id)
        request = api.AcceptTransferRequest(transfer_id=transfer.transfer_id)
        answer = directory.ask(directory.stub.organization.AcceptTransfer, request)
    said = message("{account} is super administrator now.")
    terminal.answer(answer, lambda to: to.say(said, account=transfer.to_account_id))


def cancel(terminal: Terminal) -> None:
    with open_directory(terminal) as directory:
        transfer = get(directory)
        request = api.CancelTransferRequest(transfer_id=transfer.transfer_id)
        answer = directory.ask(directory.stub.organization.CancelTransfer, request)
    said = message("The handover to {account} is called off.")
    terminal.answer(answer, lambda to: to.say(said, account=transfer.to_account_id))


def get(directory: Directory) -> pb.Transfer:
    """The one that is open. Raises CommandError."""
    return directory.ask(directory.stub.organization.GetTransfer, api.GetTransferRequest()).transfer


def show_transfer(terminal: Terminal, transfer: pb.Transfer) -> None:
    rendering.show_facts(terminal, transfer_facts(terminal, transfer))


def transfer_facts(terminal: Terminal, transfer: pb.Transfer) -> Iterator[tuple[Text, str]]:
    yield message("handed over by"), transfer.from_account_id
    yield message("successor"), transfer.to_account_id
    yield message("begun"), moments.show(transfer.create_time, terminal.language)
    yield message("can be accepted until"), moments.show(transfer.end_time, terminal.language)
