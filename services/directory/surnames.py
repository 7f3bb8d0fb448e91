"""Chinese surnames that are read otherwise than the same characters elsewhere.

Pinyin with the number of its tone. As dictionaries mark them with 姓; where families differ, as most of them do. Not in
it: surnames that pypinyin reads so by itself, whatever follows.
"""

from collections.abc import Sequence

_ONE = (
    "种 chong2, 重 chong2, 都 du1, 干 gan1, 盖 ge3, 葛 ge3, 哈 ha3, 华 hua4, 过 guo1, 郇 xun2, 纪 ji3, 阚 kan4, "
    "隗 wei3, 令 ling2, 缪 miao4, 那 na1, 乜 nie4, 粘 nian2, 宁 ning4, 区 ou1, 朴 piao2, 繁 po2, 卜 bu3, 秘 bi4, "
    "薄 bo2, 仇 qiu2, 覃 qin2, 任 ren2, 撒 sa3, 单 shan4, 折 she2, 召 shao4, 莘 xin1, 洗 xian3, 解 xie4, 么 yao1, "
    "燕 yan1, 於 yu1, 员 yun4, 贠 yun4, 乐 yue4, 查 zha1, 翟 zhai2, 祭 zhai4, 曾 zeng1, 藏 zang1, 句 gou1, 相 xiang4, "
    "佴 nai4, 扎 za1"
)
_TWO = (
    "单于 chan2 yu2, 令狐 ling2 hu2, 万俟 mo4 qi2, 尉迟 yu4 chi2, 长孙 zhang3 sun1, 宰父 zai3 fu3, 乐正 yue4 zheng4, "
    "夹谷 jia2 gu3"
)


def _table(lines: str) -> dict[str, Sequence[str]]:
    entries = (line.split() for line in lines.split(", "))
    return {characters: syllables for characters, *syllables in entries}


_SURNAMES = _table(_ONE) | _table(_TWO)


def surname(name: str) -> tuple[str, Sequence[str]]:
    """The characters that `name` begins with and how they are read as a surname; nothing where that is as usual."""
    for length in (2, 1):
        if read := _SURNAMES.get(name[:length]):
            return name[:length], read
    return "", ()
