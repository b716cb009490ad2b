import ./other.nix { }
