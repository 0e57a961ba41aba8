package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// boundDirs are the directories of the disk that programs see elsewhere. They
// belong to dev.
var boundDirs = []struct{ source, target string }{
	{diskDir + "/home", "/home/dev"},
	{diskDir + "/workspace", "/workspace"},
	{diskDir + "/data", "/data"},
}

// maxDrives is more than any driver can offer.
const maxDrives = 64

// mount mounts the store's layers and the disk. It may be asked again for the
// same, after the host lost the answer.
func (m *machine) mount(r wire.MountRequest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mounted != nil {
		if reflect.DeepEqual(*m.mounted, r) {
			return nil
		}
		return nixspace.Errorf(nixspace.KindConflict, "mounted_already", "the machine has other drives mounted")
	}
	if len(r.Layers) > maxDrives {
		return nixspace.Errorf(nixspace.KindLimit, "layers_too_many", "%d layers are more than the limit of %d", len(r.Layers), maxDrives)
	}
	wanted := r.Layers
	if r.Disk != "" {
		wanted = append(append([]string(nil), r.Layers...), r.Disk)
	}
	devices, err := findDrives(wanted)
	if err != nil {
		return err
	}
	if err := mountStore(r.Layers, devices); err != nil {
		return err
	}
	if err := mountDisk(devices[r.Disk]); err != nil {
		return err
	}
	m.mounted = &r
	if r.Disk != "" {
		m.agent.journal.Keep(logDir)
	}
	return nil
}

// findDrives returns the device of each serial. It waits a little for devices
// that the kernel has not found yet.
func findDrives(serials []string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		found, err := drives()
		if err != nil {
			return nil, err
		}
		missing := ""
		for _, s := range serials {
			if found[s] == "" {
				missing = s
			}
		}
		if missing == "" {
			return found, nil
		}
		if !sleep(ctx, 10*time.Millisecond) {
			return nil, nixspace.Errorf(nixspace.KindUnavailable, "drive_missing", "the machine has no drive with the serial %q", missing)
		}
	}
}

// drives returns the virtio block devices by their serials.
func drives() (map[string]string, error) {
	blocks, err := os.ReadDir("/sys/block")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, b := range blocks {
		serial, err := os.ReadFile("/sys/block/" + b.Name() + "/serial")
		if err != nil {
			continue // only virtio block devices have one here
		}
		if s := strings.TrimRight(string(serial), "\n\x00"); s != "" {
			found[s] = "/dev/" + b.Name()
		}
	}
	return found, nil
}

// mountStore mounts the layers and, over them, the store.
func mountStore(layers []string, devices map[string]string) error {
	var dirs []string
	for i, serial := range layers {
		dir := "/run/layers/" + itoa(i)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV
		if err := unix.Mount(devices[serial], dir, "erofs", flags, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount store layer %s: %w", serial, err)
		}
		dirs = append(dirs, dir)
	}
	return stack(dirs, nixspace.StoreDir)
}

// stack makes the contents of all dirs visible, read-only, in target.
func stack(dirs []string, target string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV
	switch len(dirs) {
	case 0:
		return nil
	case 1:
		// An overlay without an upper directory needs two lower ones.
		if err := unix.Mount(dirs[0], target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", target, err)
		}
		if err := unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
			return fmt.Errorf("make %s read-only: %w", target, err)
		}
		return nil
	}
	if err := unix.Mount("overlay", target, "overlay", flags, "lowerdir="+strings.Join(dirs, ":")); err != nil {
		return fmt.Errorf("overlay %s: %w", target, err)
	}
	return nil
}

// mountDisk mounts the session's disk and its directories. The kernel replays the
// journal of one that was not unmounted. Without a disk, the directories are in
// memory.
func mountDisk(device string) error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOATIME
	if device != "" {
		if err := os.MkdirAll(diskDir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(device, diskDir, "ext4", flags, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount the session's disk: %w", err)
		}
	}
	for _, dir := range []struct {
		path string
		perm os.FileMode
	}{{logDir, 0o755}, {stateDir, 0o700}} {
		if err := os.MkdirAll(dir.path, dir.perm); err != nil {
			return err
		}
	}
	for _, b := range boundDirs {
		if err := devDir(b.source); err != nil {
			return err
		}
		if err := os.MkdirAll(b.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(b.source, b.target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", b.target, err)
		}
		if err := unix.Mount("", b.target, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
			return fmt.Errorf("restrict %s: %w", b.target, err)
		}
	}
	return nil
}

// devDir makes a directory that belongs to dev, whatever an earlier run that was
// cut short has left.
func devDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return os.Lchown(dir, devUID, devGID)
}
