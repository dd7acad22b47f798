"""The pages on which a sensitive right of a merged account is opened by its one proof."""
