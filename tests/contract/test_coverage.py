"""The core and our plugins as wholes: whatever they offer of a kind that has a contract stands under it."""

from __future__ import annotations

from contrapose.testing import PluginContract


class TestCore(PluginContract):
    plugin = "contrapose"


class TestAudioPlugin(PluginContract):
    plugin = "audio"


class TestImagePlugin(PluginContract):
    plugin = "image"


class TestPointCloudPlugin(PluginContract):
    plugin = "pointcloud"


class TestTabularPlugin(PluginContract):
    plugin = "tabular"


class TestTextPlugin(PluginContract):
    plugin = "text"


class TestVideoPlugin(PluginContract):
    plugin = "video"
