"""What a model is: Brian2 text, read as a hybrid system (flow, event condition, jump). Symbols only."""
