# shellcheck shell=sh
# The Godot editor, which runs without a screen, and its export templates. They are for every platform,
# more than a gigabyte packed: those of the Web, Linux and Windows stay.

provision() {
  install_packages "$(package fontconfig)"
  unzip -q "$(file godot)" -d "$work"
  install -m 0755 "$work"/Godot_v*_linux.* /usr/local/bin/godot
  rm -f "$work"/Godot_v*
  place=/opt/godot/export_templates/$(version godot).stable
  rm -rf /opt/godot/export_templates
  install -d "$place"
  unzip -q -j "$(file godot-templates)" 'templates/version.txt' 'templates/web_*' \
    'templates/linux_*' 'templates/windows_*' -d "$place"
  # Godot looks for them in the home of whoever runs it.
  install -d -o ci -g ci /home/ci/.local /home/ci/.local/share /home/ci/.local/share/godot
  ln -sfn /opt/godot/export_templates /home/ci/.local/share/godot/export_templates
}

check() {
  says "$(version godot).stable" godot --headless --version
  templates=/home/ci/.local/share/godot/export_templates/$(version godot).stable
  says "$(version godot).stable" cat "$templates/version.txt"
  [ -s "$templates/linux_release.x86_64" ] || fail 'there are no export templates for Linux'
}
