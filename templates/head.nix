{# Up to the package: the same lines in split.nix and in package.nix, so that Nix names the same lines in both. Filled by
`HeadText` in src/render/mod.rs #}
{%- for line in head.header -%}
# {{ line|safe }}
{% endfor -%}
{%- if let Some(pkgs) = head.pkgs.as_deref() %}{
  pkgs ? import {{ pkgs|safe }} { },
}:
{% endif -%}
let
{%- if let Some(nixpkgs) = head.nixpkgs.as_deref() %}
  # What <nixpkgs> means in the package's own files.
  nixpkgs = {{ nixpkgs|safe }};
  scope = {
    __nixPath = [
      {
        prefix = "nixpkgs";
        path = nixpkgs;
      }
    ]
    ++ builtins.nixPath;
    import = file: if toString file == toString nixpkgs then import file else builtins.scopedImport scope file;
  };
{% endif %}
  # {{ head.package_comment|safe }}
  package ={{ head.package|safe }};
