from tests.cards import cards as cards
from tests.cards import reader as reader
from tests.cards import rsa_template as rsa_template
from tests.cards import running_reader as running_reader
