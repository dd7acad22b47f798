import re

import pytest
from flask.testing import FlaskClient

from idp.portal import how

pytestmark = pytest.mark.requirement("R93")


@pytest.mark.parametrize(
    ("business", "key", "changed", "advice"),
    [
        ("keyed", "yes", "no", how.Advice("code_form", "former", "change")),
        ("keyed", "yes", "yes", how.Advice("code_form", "new", "hall")),
        ("keyed", "no", "no", how.Advice("", "", "apply_for_key")),
        ("dual_use_control", "yes", "no", how.Advice("control", "control", "change_if_weak")),
        ("dual_use", "yes", "no", how.Advice("code_form", "former", "change_if_weak")),
        ("mech_electrical", "no", "no", how.Advice("as_it_was", "former", "change_if_weak")),
        ("mech_electrical", "yes", "yes", how.Advice("as_it_was", "new", "hall")),
    ],
)
def test_advice(business: str, key: str, changed: str, advice: how.Advice) -> None:
    assert how.advise({"business": business, "key": key, "changed": changed}) == advice


@pytest.mark.parametrize("query", ["business=keyed", "business=x&key=yes&changed=no", "business=%00&key=&changed=%ff"])
def test_incomplete_answers_ask_again(browser: FlaskClient, query: str) -> None:
    answer = browser.get(f"/help/how?{query}")
    assert answer.status_code == 200
    assert "请回答全部三个问题" in answer.text


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
@pytest.mark.parametrize("business", how.QUESTIONS["business"])
def test_every_answer_has_words_and_a_way_on(browser: FlaskClient, business: str, lang: str) -> None:
    for key in how.QUESTIONS["key"]:
        for changed in how.QUESTIONS["changed"]:
            page = browser.get(f"/help/how?business={business}&key={key}&changed={changed}&ui_locales={lang}").text
            advice = page[page.index('class="notice"') :]
            assert re.search(r'href="/(login|help/new-users)"', advice)
            assert "how." not in advice
            assert page.count(" checked") == 3


@pytest.mark.parametrize(
    ("locale", "entry", "link"), [("zh-CN", "原系统的登录口：", "【我的账号】"), ("en", "former system’s own entry", "“My account”")]
)
def test_the_advice_tells_of_the_old_entry_and_of_other_names(browser: FlaskClient, locale: str, entry: str, link: str) -> None:
    page = browser.get(f"/help/how?business=keyed&key=yes&changed=no&ui_locales={locale}").get_data(as_text=True)
    advice = page.split('id="advice"')[1].split("</section>")[0]
    assert (entry in advice, link in advice) == (True, True)
