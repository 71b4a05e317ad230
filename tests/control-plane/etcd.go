package main

import (
	"errors"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

func startEtcd(files *files) (*embed.Etcd, error) {
	config := embed.NewConfig()
	config.Dir = files.path("etcd")
	config.Name = "yardmaster"
	config.LogLevel = "warn"
	// Left at zero it would log every request as slow.
	config.WarningUnaryRequestDuration = time.Second
	// The data need not survive a crash of the machine, and every write of the
	// API server would wait for the disk otherwise.
	config.UnsafeNoFsync = true
	// A load test writes more in a minute than the default of 2 GiB holds
	// between two compactions; then etcd would refuse all writes.
	config.QuotaBackendBytes = 8 << 30
	config.EnableGRPCGateway = false

	// Port 0: the kernel picks, so two worlds can't pick the same. The peer and
	// advertised addresses are never dialled by a cluster of one.
	anyPort := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenClientUrls, config.AdvertiseClientUrls = anyPort, anyPort
	config.ListenPeerUrls, config.AdvertisePeerUrls = anyPort, anyPort
	config.InitialCluster = config.InitialClusterFromName(config.Name)

	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		etcd.Close()
		return nil, err
	case <-time.After(startTimeout):
		etcd.Close()
		return nil, errors.New("not ready in time")
	}
}
