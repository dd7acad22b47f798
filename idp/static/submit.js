// Sends the page's form on; who has no JavaScript presses its button.
document.forms[0].submit();
