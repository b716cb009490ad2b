{# The package alone, to ask Nix about it; filled by `PackageNix` in src/render/mod.rs #}
{%- include "head.nix" %}
in
package