"""Plain words to commands for a messenger, and never the wrong command.

>>> from nlparse import parse
>>> parse("msg fred: the build is green", known=["fred"]).answer()
{'intent': 'send', 'to': ['fred'], 'content': 'the build is green'}
>>> parse("write a test for send()", known=["fred"]).answer()
{'intent': 'unknown'}
>>> parse("msg nessa welcome", known=["fred"]).question.text
"nessa isn't registered. Send anyway?"

``parse`` takes the text, who says it (``me``), who is registered (``known``) and who wrote to him last (``last_from``). It
returns one of the dataclasses of ``nlparse.commands`` with its slots, their places in the text and a confidence. It guesses no
recipient: names stay as typed, and a near-miss of a registered one only comes with ``did_you_mean``. In doubt the answer is
``Unknown``, with a question where a message was likely meant. What is a command and what is none stands in RULES.md beside this
file; every word of the grammar stands in ``nlparse.vocabulary`` and can be added to with ``Vocabulary().extend``.

From a shell: ``python -m nlparse "msg fred hi" --known fred`` explains a parse, ``--batch`` answers JSON lines, and
``--score FILES`` says how many cases of a file are read as they expect. The package needs Python alone and no other part of
the project around it.
"""

from nlparse.commands import Command, Question, Unknown
from nlparse.parser import parse
from nlparse.vocabulary import Vocabulary

__all__ = ["Command", "Question", "Unknown", "Vocabulary", "parse"]
