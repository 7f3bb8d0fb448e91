"""Invented people to fill a simulated meeting with: a seed has always the same ones, the first of them first. Pure."""

import hashlib
from dataclasses import dataclass

from services.meetings.people import Device
from services.meetings.simulated_scene import Visitor

LARGEST = 3000
LAST_SEED = 999_999
FAMILY_NAMES = ("Wang", "Li", "Zhang", "Liu", "Chen", "Yang", "Zhao", "Huang", "Zhou", "Wu", "Müller", "Smith")
GIVEN_NAMES = ("Wei", "Fang", "Na", "Min", "Jing", "Lei", "Yang", "Yan", "Jun", "Jie", "Anna", "James")
DEVICES = (
    *(Device.PC, Device.PC, Device.PC, Device.MAC, Device.MAC, Device.LINUX, Device.ANDROID, Device.ANDROID),
    *(Device.IOS, Device.IOS, Device.TABLET, Device.WEB, Device.MINI_PROGRAM, Device.PHONE, Device.CONNECTOR),
    Device.ROOMS,
)
WITHOUT_CAMERA = (Device.PHONE,)


@dataclass(frozen=True, slots=True)
class Extra:
    """One of them. A tenth are guests, an eighth have the microphone on and a third the camera; one in 500 shares."""

    visitor: Visitor
    microphone: bool
    camera: bool
    sharing: bool


def crowd(seed: int, number: int) -> list[Extra]:
    return [invent(seed, index) for index in range(1, number + 1)]


def invent(seed: int, index: int) -> Extra:
    """No two of a seed have the same name; no two at all the same account, or the same name as guests."""
    draws = hashlib.sha256(f"{seed} {index}".encode()).digest()
    name = f"{FAMILY_NAMES[draws[0] % len(FAMILY_NAMES)]} {GIVEN_NAMES[draws[1] % len(GIVEN_NAMES)]} {index}"
    account = "" if draws[2] % 10 == 0 else f"extra-{seed}-{index}"
    device = DEVICES[draws[3] % len(DEVICES)]
    shown = name if account else f"{name} ({seed})"
    return Extra(
        visitor=Visitor(account, shown, device),
        microphone=draws[4] % 8 == 0,
        camera=draws[5] % 3 == 0 and device not in WITHOUT_CAMERA,
        sharing=index % 500 == 1,
    )
