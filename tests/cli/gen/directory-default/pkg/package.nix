throw "not this one"
