# Sources by address and hash. Each result is fixed by its hash, whatever the fetching did.
{ lib, system }:
rec {
  fetchurl = import ./fetchurl.nix { inherit lib system; };
  fetchzip = import ./fetchzip.nix { inherit lib system; };
  fetchFromGitHub =
    {
      owner,
      repo,
      rev ? null,
      tag ? null,
      name ? "source",
      ...
    }@args:
    fetchzip (
      removeAttrs args [ "owner" "repo" "rev" "tag" ]
      // {
        inherit name;
        url = "https://github.com/${owner}/${repo}/archive/${if tag != null then "refs/tags/${tag}" else rev}.tar.gz";
      }
    )
    // {
      inherit owner repo tag;
      rev = if tag != null then "refs/tags/${tag}" else rev;
    };
  # Taken as it is, without the normalisation of nixpkgs: give the hash of the file.
  fetchpatch = args: fetchurl (removeAttrs args [ "excludes" "includes" "revert" "stripLen" "relative" ]);
}
