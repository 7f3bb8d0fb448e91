"""kill -9 of the directory at any moment of its work. DIRECTORY_KILLS=50 makes it a long one."""

import asyncio
import os
import random
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import nats
import pytest
import sqlalchemy as sa

from services.directory import models
from services.installation import development_clock, issuer, ports
from services.installation.programs import Plan
from services.installation.state import State
from services.installation.supervised_process import SupervisedProcess
from services.platform.data.database import Database
from tests import templates
from tests.faults import directory_checker
from tests.faults.installation import declare_streams, start
from tests.faults.staff import BOSS, Staff
from tests.servers import until
from tests.system.stack import MONDAY

pytestmark = pytest.mark.system

KILLS = int(os.environ.get("DIRECTORY_KILLS", "3"))
WORKERS = 4
BETWEEN_SECONDS = (0.3, 1.2)
TABLES = [str(model.__tablename__) for model in models.TABLES]


async def test_a_killed_directory_keeps_its_promises(shared_url: str, tmp_path: Path) -> None:
    dice, state = random.Random(KILLS), State(tmp_path / "state")
    state.prepare()
    issuer.prepare_keys(state)
    development_clock.start_at(state, datetime.fromisoformat(MONDAY))
    plan = Plan(state, ports.choose(auto=True), meetings="off")
    program = next(each for each in plan.services() if each.name == "directory")
    url = shared_url or templates.on_sqlite(state.database("directory"), "services.directory")
    environment = {**program.environment, "YUNHUI_DATABASE_URL": url, "YUNHUI_SUPER_ADMINISTRATOR": BOSS}
    started: list[SupervisedProcess] = []
    database = Database(url)
    try:
        await start(plan.bus(), state, started)
        await declare_streams(plan)
        child = await start(replace(program, environment=environment), state, started)
        staff = Staff(state, program.address, dice)
        await staff.begin()
        over = asyncio.Event()
        working = [asyncio.create_task(staff.work(f"w{number}", over.is_set)) for number in range(WORKERS)]
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(*BETWEEN_SECONDS))
            child.kill()
            await child.wait()
            await child.start()
            await child.ready()
        over.set()
        await asyncio.gather(*working)
        assert staff.lost, "no answer was lost: nothing was tried"
        await until(lambda: all_is_told(database))
        rows = await database.read(
            lambda c: {name: c.execute(sa.text(f'SELECT * FROM "{name}"')).all() for name in TABLES}
        )
        assert [*directory_checker.check(rows, staff)] == []
        bus = await nats.connect(f"nats://{plan.address('nats')}", user="admin", password=state.password("admin"))
        assert await directory_checker.check_bus(database, bus, rows["outbox"]) == []
        await bus.close()
    finally:
        database.close()
        for each in reversed(started):
            await each.stop()


async def all_is_told(database: Database) -> bool:
    outbox = "SELECT count(*) FROM outbox WHERE publish_time IS NULL"
    waiting = f"SELECT ({outbox}) + (SELECT count(*) FROM member_grant WHERE waiting)"
    return not await database.read_fresh(lambda connection: connection.scalar(sa.text(waiting)))
