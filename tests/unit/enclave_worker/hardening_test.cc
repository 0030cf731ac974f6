// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Each test hardens a child process as the enclave's main does, and tries from inside what must not work any more.
#include "enclave_worker/hardening/hardening.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "enclave_worker/evidence/sev_guest_ioctl.h"

namespace shoji::enclave {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizerBuild = true;
#else
constexpr bool kSanitizerBuild = false;
#endif

// Runs `body` in a hardened child and returns the raw wait status; `body` returns the child's exit code.
int InHardenedChild(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    HardenProcess();
    ::_exit(body());
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status;
}

// Exit code 0 if `call` fails with EPERM.
int DeniedExitCode(const std::function<long()>& call) {
  errno = 0;
  const long result = call();
  return result == -1 && errno == EPERM ? 0 : 1;
}

void ExpectDenied(const std::function<long()>& call) {
  const int status = InHardenedChild([&] { return DeniedExitCode(call); });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

std::string StatusField(const std::string& path, const std::string& field) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(field + ":", 0) == 0) {
      return line.substr(line.find_last_of(" \t") + 1);
    }
  }
  return "";
}

TEST(HardeningTest, ReportsEveryMeasureAsOn) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    int off = 0;
    for (const HardeningMeasure& measure : HardenProcess()) {
      off += measure.on ? 0 : 1;
    }
    ::_exit(off);
  }
  int result = 0;
  ASSERT_EQ(::waitpid(pid, &result, 0), pid);
  EXPECT_EQ(WEXITSTATUS(result), 0);
}

TEST(HardeningTest, DeniesStartingAProgram) {
  ExpectDenied([] {
    char program[] = "/bin/true";
    char* const argv[] = {program, nullptr};
    return static_cast<long>(::execve(program, argv, nullptr));
  });
}

TEST(HardeningTest, DeniesReadingAnotherProcess) {
  ExpectDenied([] {
    char byte = 0;
    iovec local = {&byte, 1};
    iovec remote = {&byte, 1};
    return static_cast<long>(::process_vm_readv(::getppid(), &local, 1, &remote, 1, 0));
  });
}

TEST(HardeningTest, DeniesTracing) {
  if (kSanitizerBuild) {
    GTEST_SKIP() << "LeakSanitizer needs ptrace, so sanitizer builds leave it";
  }
  ExpectDenied([] { return ::ptrace(PTRACE_ATTACH, ::getppid(), nullptr, nullptr); });
  ExpectDenied([] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); });
}

// Whether a process of an unprivileged user can attach to another one of the same user, hardened or not.
bool OwnUserCanAttach(const std::function<void()>& harden) {
  constexpr uid_t kNobody = 65534;
  int ready[2] = {};
  EXPECT_EQ(::pipe(ready), 0);
  const pid_t target = ::fork();
  if (target == 0) {
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) {
      ::_exit(1);
    }
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // changing the user cleared it: as if started by that user
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    harden();
    (void)!::write(ready[1], "r", 1);
    while (true) {
      ::poll(nullptr, 0, -1);  // until it is killed; pause() is not on the filter's list
    }
  }
  char byte = 0;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  const pid_t tracer = ::fork();
  if (tracer == 0) {
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) {
      ::_exit(2);
    }
    ::_exit(::ptrace(PTRACE_ATTACH, target, nullptr, nullptr) == 0 ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(tracer, &status, 0), tracer);
  ::kill(target, SIGKILL);
  ::waitpid(target, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(HardeningTest, ItsOwnUserCannotAttachToIt) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root, to become another user";
  }
  EXPECT_TRUE(OwnUserCanAttach([] {})) << "the test must be able to attach to what is not hardened";
  EXPECT_FALSE(OwnUserCanAttach([] { HardenProcess(); }));
}

TEST(HardeningTest, DeniesBpfModulesAndMounting) {
  ExpectDenied([] { return ::syscall(SYS_bpf, 0, nullptr, 0); });
  ExpectDenied([] { return ::syscall(SYS_finit_module, -1, "", 0); });
  ExpectDenied([] { return static_cast<long>(::mount("none", "/nowhere", "tmpfs", 0, nullptr)); });
}

TEST(HardeningTest, DeniesForkingAndRaisingLimits) {
  if (kSanitizerBuild) {
    GTEST_SKIP() << "sanitizer builds run under a relaxed filter";
  }
  ExpectDenied([] { return static_cast<long>(::fork()); });
  ExpectDenied([] {
    const rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    return static_cast<long>(::setrlimit(RLIMIT_CORE, &limit));
  });
  ExpectDenied([] { return static_cast<long>(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); });
}

TEST(HardeningTest, DeniesRawSocketsAndTypingIntoATerminal) {
  if (kSanitizerBuild) {
    GTEST_SKIP() << "sanitizer builds run under a relaxed filter";
  }
  ExpectDenied([] { return static_cast<long>(::socket(AF_PACKET, SOCK_RAW, 0)); });
  ExpectDenied([] { return static_cast<long>(::socket(AF_NETLINK, SOCK_RAW, 0)); });
  ExpectDenied([] { return static_cast<long>(::ioctl(0, TIOCSTI, "x")); });
  const int status = InHardenedChild([] { return ::socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 0 : 1; });
  EXPECT_EQ(status, 0);
}

// Whether a child that is narrowed to `needed` may still remove folders and ask /dev/sev-guest, as far as the filter is
// concerned.
int LeftTo(EvidenceCalls needed) {
  return InHardenedChild([needed] {
    if (!NarrowTo(needed).on) {
      return 99;
    }
    const bool folders = ::rmdir("/nowhere") == -1 && errno == ENOENT;
    const bool at = ::unlinkat(AT_FDCWD, "/nowhere", AT_REMOVEDIR) == -1 && errno == ENOENT;
    const bool report = ::ioctl(-1, kSnpGetReport, nullptr) == -1 && errno == EBADF;
    const bool extended = ::ioctl(-1, kSnpGetExtendedReport, nullptr) == -1 && errno == EBADF;
    return (folders ? 1 : 0) + (at ? 2 : 0) + (report ? 4 : 0) + (extended ? 8 : 0);
  });
}

TEST(HardeningTest, LeavesOfTheCallsForEvidenceThoseThatAreNeeded) {
  EXPECT_EQ(WEXITSTATUS(LeftTo(EvidenceCalls::kNone)), 0);
  EXPECT_EQ(WEXITSTATUS(LeftTo(EvidenceCalls::kFolders)), 1 + 2);
  EXPECT_EQ(WEXITSTATUS(LeftTo(EvidenceCalls::kSevGuestIoctl)), 4 + 8);
}

TEST(HardeningTest, NarrowedItTakesNoFurtherFilterAndStillRemovesFiles) {
  const int status = InHardenedChild([] {
    const bool narrowed = NarrowTo(EvidenceCalls::kNone).on;
    const bool again = NarrowTo(EvidenceCalls::kFolders).on;
    const bool removes = ::unlinkat(AT_FDCWD, "/nowhere", 0) == -1 && errno == ENOENT;
    return narrowed && !again && removes ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
}

TEST(HardeningTest, LeavesThreadsUsableAndFiltersEachOfThem) {
  const int status = InHardenedChild([] {
    int code = 1;
    std::thread([&code] {
      const std::string path = "/proc/self/task/" + std::to_string(::syscall(SYS_gettid)) + "/status";
      code = StatusField(path, "NoNewPrivs") == "1" && StatusField(path, "Seccomp") == "2" ? 0 : 1;
    }).join();
    return code;
  });
  EXPECT_EQ(status, 0);
}

TEST(HardeningTest, ACrashLeavesNoCoreDump) {
  const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_CORE, &before), 0);
  (void)::setrlimit(RLIMIT_CORE, &unlimited);
  const int status = InHardenedChild([] {
    ::signal(SIGSEGV, SIG_DFL);
    ::raise(SIGSEGV);
    return 0;
  });
  (void)::setrlimit(RLIMIT_CORE, &before);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
  EXPECT_FALSE(WCOREDUMP(status));
}

}  // namespace
}  // namespace shoji::enclave
