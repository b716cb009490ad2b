{ buildGoModule }:
buildGoModule {
  name = "go-1";
  src = ./.;
  vendorHash = null;
  subPackages = [ "cmd/x" ];
  ldflags = [ "-s" ];
}
