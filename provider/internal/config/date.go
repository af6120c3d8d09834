// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"time"
)

// Date is a day, in UTC, or nothing.
type Date time.Time

// String writes the date as [Date.Set] reads it.
func (d *Date) String() string {
	if time.Time(*d).IsZero() {
		return ""
	}
	return time.Time(*d).Format(time.DateOnly)
}

// Set reads a date.
func (d *Date) Set(s string) error {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return errors.New("want a date, such as 2027-03-31")
	}
	*d = Date(t)
	return nil
}

// Type names the value in help texts.
func (d *Date) Type() string { return "date" }
