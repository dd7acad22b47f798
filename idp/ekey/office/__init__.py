"""The key office's desk: enrolment with a sealed letter (R88), single rows of its list pushed by its own program (R66), its page and commands."""
