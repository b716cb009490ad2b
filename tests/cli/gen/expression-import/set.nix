{ }: { one = (import <nixpkgs> { }).hello; }
