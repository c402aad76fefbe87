"""Times in English, to tell a job for later from a message (RULES.md §3): ``in 10 minutes``, ``at 4 to stretch``."""

import re
from functools import lru_cache

_SMALL = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_NUMBER = rf"(?:\d+(?:[.,]\d+)?|{_SMALL}|fifteen|twenty|thirty|forty(?:[ -]five)?|sixty|ninety)"
_UNIT = r"(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|days?|weeks?|months?|years?)"
_AMOUNT = rf"(?:{_NUMBER}|an?|half\s+an?|a\s+few|a\s+couple(?:\s+of)?|several)"
_DAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|weekdays?|weekends?)"
_SHORT_DAY = rf"(?:{_DAY}|mon|tues?|wed|thu|thurs|fri|sat|sun)"
_PART = r"(?:morning|afternoon|evening|night|noon|midnight|lunch|lunchtime|breakfast|dinner|eod)"
_MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*"
_CLOCK = (
    rf"(?:(?:half|quarter|{_NUMBER})\s+(?:past|to)\s+{_NUMBER}"
    rf"|\d{{1,2}}(?:[:.]\d{{2}})?\s*(?:[ap]\.?m\b\.?|o['’]?clock|h|sharp)?|(?:{_SMALL})(?:\s+(?:o['’]?clock|thirty|fifteen|[ap]m))?|{_PART})"
)
_LONE_CLOCK = r"(?:\d{1,2}[:.]\d{2}(?:\s*[ap]\.?m\b\.?)?|\d{1,2}\s*(?:[ap]\.?m\b\.?|o['’]?clock)|noon|midnight)"
_ONE = "|".join(
    (
        rf"in\s+(?:about\s+)?{_AMOUNT}(?:\s*{_UNIT})?(?:\s+and\s+{_AMOUNT}\s+{_UNIT})?(?:\s+time)?",
        r"in\s+a\s+(?:bit|while|moment|sec|jiffy)",
        rf"(?:at|by|around|till?)\s+(?:about\s+|around\s+)?{_CLOCK}",
        rf"(?:every|each)\s+(?:other\s+)?(?:{_AMOUNT}\s+)?(?:{_UNIT}|{_SHORT_DAY}|{_PART})",
        rf"(?:on|next|this|by|coming)\s+(?:next\s+)?{_SHORT_DAY}",
        rf"(?:later\s+)?(?:this|tomorrow|every|in\s+the|at|{_DAY})\s+{_PART}",
        rf"on\s+(?:the\s+)?\d{{1,2}}(?:st|nd|rd|th)?(?:\s+(?:of\s+)?{_MONTH})?",
        rf"on\s+{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?",
        r"(?:later\s+)?(?:next|this)\s+(?:week|month|year|time)",
        r"(?:by\s+|at\s+)?(?:the\s+)?end\s+of\s+(?:the\s+)?(?:day|week|month)",
        r"(?:early|late|first\s+thing)\s+(?:today|tomorrow)|(?:over|on|at)\s+the\s+weekend|right\s+after\s+lunch",
        r"first\s+thing(?:\s+tomorrow|\s+in\s+the\s+morning)?",
        r"(?:right|straight)\s+(?:now|away)|at\s+once|by\s+(?:today|tomorrow|tonight)",
        r"today|tomorrow|tonight|later|soon|now|asap|immediately|shortly|daily|hourly|weekly|eod",
        rf"{_NUMBER}\s*{_UNIT}(?:\s+(?:from\s+now|later|before))?",
        rf"{_LONE_CLOCK}|{_DAY}|\d{{4}}-\d{{2}}-\d{{2}}",
    )
)
_POLITE = r"(?:\s+(?:please|pls|thanks)[.!?]*)?"
_REST = r"(?:\s*$|\s+(?:to|about|that)(?![\w'’-]))"
_TIMES = rf"(?:{_ONE})(?:,?\s+(?:{_ONE})){{0,3}}(?=$|[\s.!?,])[.!?,]*{_POLITE}{_REST}"
LONGEST_TIME = 120
"""Characters of a content that are looked at."""


def is_time(content: str) -> bool:
    """True if a content is only a time, or a time followed by to, about or that."""
    return _compiled().match(content[:LONGEST_TIME]) is not None


@lru_cache(maxsize=1)
def _compiled() -> re.Pattern[str]:
    """Takes 10 ms, which a start without such a content saves."""
    return re.compile(_TIMES, re.IGNORECASE)
