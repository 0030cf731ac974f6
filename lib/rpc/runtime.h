// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

namespace shoji::rpc {

// Keeps gRPC's runtime up until the process ends. Without it the runtime goes down with the last channel or server, and
// grpc_shutdown may then wait ten seconds for threads of its own. Channels and servers of this library call it by
// themselves. Thread-safe.
void KeepGrpcRunning();

// Keeps gRPC from writing to standard error what the errors of its calls say as well, unless GRPC_VERBOSITY asks for
// it. For commands. Call it before any thread starts.
void SilenceGrpcLog();

// Lets the process have as many files and connections open as it may: raises the soft limit to the hard one. For
// daemons that many connect to.
void RaiseFileLimit();

}  // namespace shoji::rpc
