"""What a merge would do, some enterprises at a time, so that the plan of a million old users fits into little memory."""

from collections.abc import Iterator
from datetime import date

from idp.legacy import merge_plan, old_users
from idp.legacy.merge_plan import Plan
from idp.legacy.name_claims import Claims

ENTERPRISES_A_PAGE = 1000


def pages(today: date) -> Iterator[Plan]:
    """The whole plan: pages of accounts with what concerns one enterprise; the last holds notes alone, on names that several enterprises claim."""
    wandering = old_users.wandering_names()
    everywhere = Claims(only=wandering)
    last = 0
    while ids := old_users.enterprise_ids(last, ENTERPRISES_A_PAGE):
        accounts = merge_plan.accounts(old_users.read(today, ids))
        within = Claims(but=wandering)
        merge_plan.claim(within, accounts)
        merge_plan.claim(everywhere, accounts)
        yield Plan(accounts, [*merge_plan.name_notes(within), *merge_plan.apart(accounts)])
        last = ids[-1]
    yield Plan([], merge_plan.name_notes(everywhere))
