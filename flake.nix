{
  description = "Split a Nix stdenv package into a chain of derivations, one per phase";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";

  # What is in here lies in nix-lib/flake-lib.nix, which also works without flakes.
  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      forEach = f: nixpkgs.lib.genAttrs systems (system: f (ours system) nixpkgs.legacyPackages.${system});
      ours =
        system:
        import ./nix-lib/flake-lib.nix {
          pkgs = nixpkgs.legacyPackages.${system};
          source = self;
        };
    in
    {
      packages = forEach (
        phasesplit: _: {
          default = phasesplit.phasesplit;
          inherit (phasesplit) phasesplit phasesplit-state;
        }
      );
      devShells = forEach (phasesplit: _: { default = phasesplit.shell; });
      overlays.default = final: _: {
        inherit (import ./nix-lib/flake-lib.nix { pkgs = final; source = self; }) phasesplit phasesplit-state phasesplitPackage;
      };
      # split { package = pkgs.hello; } -> the package as a chain; arguments as in nix-lib/split.nix.
      lib.split = arguments: (ours arguments.package.system).split arguments;
    };
}
