"""One file a grant, thin: from a proven client's form to a plan that tokens.settle() commits."""
