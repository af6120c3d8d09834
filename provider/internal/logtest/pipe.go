// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package logtest

import "errors"

// Pipe is a [Log] that takes nothing until somebody reads it.
type Pipe struct {
	Log
	read chan struct{}
}

// NewPipe makes a pipe that nobody reads.
func NewPipe() *Pipe { return &Pipe{read: make(chan struct{})} }

// Read has the pipe take what is written, from now on. It is called once.
func (p *Pipe) Read() { close(p.read) }

// Write waits until the pipe is read.
func (p *Pipe) Write(line []byte) (int, error) {
	<-p.read
	return p.Log.Write(line)
}

// FullDisk is a [Log] without room for the first writes, Failing of them.
type FullDisk struct {
	Log
	Failing int
}

// Write fails while there is no room.
func (d *FullDisk) Write(line []byte) (int, error) {
	if d.Failing > 0 {
		d.Failing--
		return 0, errors.New("no space left on device")
	}
	return d.Log.Write(line)
}
