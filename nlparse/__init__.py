"""Plain words to commands for a messenger, and never the wrong command.

>>> from nlparse import parse
>>> parse("msg fred: the build is green", known=["fred"]).answer()
{'intent': 'send', 'to': ['fred'], 'content': 'the build is green'}
"""

from nlparse.commands import Command, Question, Unknown
from nlparse.parser import parse
from nlparse.vocabulary import Vocabulary

__all__ = ["Command", "Question", "Unknown", "Vocabulary", "parse"]
