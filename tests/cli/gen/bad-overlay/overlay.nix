final: prev: { hello = prev.hello; }
