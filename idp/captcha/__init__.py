"""The captcha step (验证码): one question, answered once, within five minutes.

Owns: CaptchaChallenge, the image, the check. Routes: /captcha/<id>.png. Called by: signin, recovery, registration, portal.
Does not: decide when a captcha is asked for.
"""
