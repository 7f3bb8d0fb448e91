"""The directory as administrators use it, with the command and a real installation."""

from typing import Any

import pytest

from tests.system.stack import MONDAY, Stack, yunhui

pytestmark = pytest.mark.system


def test_an_organization_is_set_up(stack: Stack) -> None:
    """What it is called, who is told of what, and what it has bought; support sees all of it and changes nothing."""
    admin, support = stack.login("admin"), stack.login("support")
    named = admin.yunhui("organization", "update", "--name", "计算技术研究所", "--edition", "education")
    assert named.answer["organization"]["edition"] == "EDITION_EDUCATION"
    told = ("--name", "张伟", "--topic", "licences", "--topic", "billing")
    assert admin.yunhui("organization", "contacts", "add", "zhang@example.org", *told).code == 0
    bought = ("--count", "3", "--start", "2025-01-01 00:00", "--end", "2026-01-01 00:00")
    before = admin.yunhui("organization", "licences").answer["figures"].get("left", 0)
    put = admin.yunhui("organization", "licences", "put", "PO-7", *bought)
    assert (put.answer["figures"]["left"], put.answer["figures"]["nextEndTime"]) == (before + 3, "2025-12-31T16:00:00Z")
    shown = support.yunhui("organization", "show").answer["organization"]
    assert [each["email"] for each in shown["contacts"]] == ["zhang@example.org"]
    refused = support.yunhui("organization", "licences", "delete", "PO-7")
    assert (refused.code, "PERMISSION_MISSING" in refused.err) == (1, True)
    assert admin.yunhui("organization", "licences", "delete", "PO-7").code == 0
    assert admin.yunhui("organization", "licences", "delete", "PO-7").code == 4
    entries = admin.yunhui("audit", "list", "--program", "directory", "--target", "licence_purchase/PO-7").answer
    assert len(entries["entries"]) == 2


def test_what_the_directory_refuses_is_said_in_chinese(stack: Stack) -> None:
    """With the field in words."""
    token = stack.login("admin").token
    for arguments, sentence in (
        (
            ("organization", "contacts", "add", "zhang@", "--name", "张", "--topic", "billing"),
            "邮箱：不是有效的邮箱地址。",
        ),
        (("organization", "licences", "put", "PO 7", "--count", "1"), "购买编号：须为 1 到 64 个"),
        (("organization", "licences", "delete", "PO-8"), "没有找到：没有购买记录 PO-8。"),
    ):
        said = yunhui(*arguments, "--lang", "zh-CN", "--state", str(stack.state), YUNHUI_TOKEN=token)
        assert said.code
        assert sentence in said.err


def test_people_come_move_and_go(stack: Stack) -> None:
    """From the first department to the last licence, by paths and account ids alone, in versions that nobody types."""
    admin = stack.login("admin")

    def done(*arguments: str) -> dict[str, Any]:
        said = admin.yunhui(*arguments)
        assert (said.code, said.err) == (0, "")
        return said.answer

    for path in ("软件所", "软件所/编译组", "软件所/测试组", "自动化所"):
        under, _, name = path.rpartition("/")
        done("departments", "add", name, *(("--under", under) if under else ()))
    done("organization", "licences", "put", "E2E", *("--count", "1", "--start", MONDAY, "--end", "2026-01-01 00:00"))
    zhao = ("--name", "赵敏", "--department", "软件所/编译组", "--department", "自动化所")
    assert done("members", "add", "zhao", *zhao, "--advanced")["member"]["accountType"] == "ACCOUNT_TYPE_ADVANCED"
    done("members", "add", "qian", "--name", "钱进", "--department", "软件所/测试组", "--enabled")
    none_left = admin.yunhui("members", "licence", "give", "qian")
    assert (none_left.code, "NO_LICENCE_LEFT" in none_left.err) == (1, True)
    done("members", "licence", "take", "zhao")
    done("members", "licence", "give", "qian")
    done("departments", "rename", "软件所/测试组", "质量组")
    done("departments", "move", "软件所/质量组", "--before", "软件所/编译组")
    [software, automation] = done("departments", "tree")["departments"]
    assert [each["displayName"] for each in software["departments"]] == ["质量组", "编译组"]
    assert (software["memberCountBelow"], automation["memberCount"]) == (2, 1)
    assert [each["accountId"] for each in done("members", "list", "zm")["members"]] == ["zhao"]
    below = done("members", "list", "--department", "软件所", "--below", "--advanced")
    assert [each["accountId"] for each in below["members"]] == ["qian"]
    done("departments", "merge", "软件所/编译组", "--into", "自动化所", "--yes")
    main = done("members", "update", "zhao", "--title", "研究员")["member"]["memberships"]
    assert [each["path"] for each in main] == ["自动化所"]
    assert admin.yunhui("departments", "delete", "自动化所", "--yes").code == 1
    assert admin.yunhui("members", "delete", "qian", "--yes").code == 1
    done("members", "disable", "qian")
    done("members", "delete", "qian", "--yes")
    assert admin.yunhui("members", "show", "qian").code == 4
    assert done("organization", "licences", "list")["figures"]["left"] == 1


def test_tokens_of_identity_providers_are_made_listed_and_ended(stack: Stack) -> None:
    admin, support = stack.login("admin"), stack.login("support")
    tokens = ("organization", "scim-tokens")
    assert len(admin.yunhui(*tokens, "create", "entra").answer["secret"]) > 40
    assert admin.yunhui(*tokens, "create", "entra").code == 1
    assert "PERMISSION_MISSING" in support.yunhui(*tokens).err
    assert [each["displayName"] for each in admin.yunhui(*tokens).answer["tokens"]] == ["entra"]
    assert admin.yunhui(*tokens, "revoke", "entra").code == 0
    assert admin.yunhui(*tokens, "revoke", "entra").code == 4
    noted = admin.yunhui("audit", "list", "--program", "directory", "--target", "provisioning_token/entra").answer
    assert len(noted["entries"]) == 2
