// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/hardening/syscall_filter.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>

#include "enclave_worker/evidence/sev_guest_ioctl.h"

namespace shoji::enclave {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizerBuild = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
constexpr bool kSanitizerBuild = true;
#else
constexpr bool kSanitizerBuild = false;
#endif
#else
constexpr bool kSanitizerBuild = false;
#endif

constexpr const char* kRelaxed = "relaxed: this is a sanitizer build";

// clang-format off
// Denied in every build.
constexpr std::initializer_list<const char*> kDenied = {
    "execve", "execveat", "process_vm_readv", "process_vm_writev", "bpf", "init_module", "finit_module",
    "delete_module", "kexec_load", "kexec_file_load", "mount", "umount2", "pivot_root", "move_mount", "open_tree",
    "fsopen", "fsmount", "chroot", "setns", "unshare", "perf_event_open", "userfaultfd", "keyctl", "add_key",
    "request_key", "pidfd_getfd", "reboot", "swapon", "swapoff", "personality", "iopl", "ioperm", "kcmp",
};

constexpr std::initializer_list<const char*> kAllowed = {
    // Memory. mmap and mprotect may make pages executable: oneDNN's code generator needs it.
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "mlock", "mlock2", "munlock", "get_mempolicy",
    // Files: configuration, models, keys and logs; sockets and address files are made and removed.
    "openat", "open", "close", "close_range", "read", "readv", "pread64", "write", "writev", "pwrite64", "lseek",
    "fstat", "stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
    "getdents64", "getcwd", "fcntl", "dup", "dup2", "dup3", "ftruncate", "fsync", "rename", "renameat", "renameat2",
    "unlink", "unlinkat", "mkdir", "mkdirat", "umask", "flock",
    // Network: gRPC's sockets and its event loop.
    "socketpair", "bind", "listen", "accept", "accept4", "connect", "getsockname", "getpeername",
    "setsockopt", "getsockopt", "sendmsg", "sendmmsg", "recvmsg", "recvmmsg", "sendto", "recvfrom", "shutdown",
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6",
    "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime", "pipe", "pipe2", "signalfd4",
    // Threads. clone only with CLONE_THREAD, see AddConditionalRules; clone3 answers ENOSYS, and glibc falls back to
    // clone.
    "futex", "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "gettid", "sched_yield",
    "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler", "sched_get_priority_max",
    "sched_get_priority_min", "membarrier", "arch_prctl", "exit", "exit_group", "restart_syscall",
    // Signals; tgkill is abort's.
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigpending", "rt_sigsuspend",
    "sigaltstack", "tgkill",
    // Time, identity, limits, randomness.
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getpid", "getppid",
    "getuid", "geteuid", "getgid", "getegid", "getpgrp", "getrusage", "getrlimit", "sysinfo", "uname", "getcpu",
    "getrandom", "times",
    // Until NarrowSyscallFilter: what some evidence providers take (the ioctls of another stand below), and itself.
    "rmdir", "seccomp",
};
// clang-format on

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;

// 0, or a negative errno.
int AddRules(scmp_filter_ctx context, uint32_t action, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) {
      continue;  // a call that this architecture does not have
    }
    const int result = seccomp_rule_add(context, action, number, 0);
    if (result != 0 && result != -EDOM && result != -EEXIST) {
      return result;
    }
  }
  return 0;
}

// Calls that are allowed for some arguments only: new threads but no new process; reading limits and thread names but
// not raising a limit or becoming dumpable again.
int AddConditionalRules(scmp_filter_ctx context) {
  int result = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  if (result == 0) {
    result = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  }
  if (result == 0) {
    result = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0));
  }
  // The makers of pads may lower their own priority; nobody may change another's.
  if (result == 0) {
    result = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(sched_setscheduler), 2, SCMP_A0(SCMP_CMP_EQ, 0),
                              SCMP_A1(SCMP_CMP_EQ, SCHED_IDLE));
  }
  // No raw or netlink sockets, and of ioctl nothing that could type into an inherited terminal (TIOCSTI).
  for (const int family : {AF_UNIX, AF_INET, AF_INET6}) {
    if (result == 0) {
      result = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                SCMP_A0(SCMP_CMP_EQ, static_cast<uint64_t>(family)));
    }
  }
  for (const uint64_t request : std::initializer_list<uint64_t>{FIONBIO, FIONREAD, FIOCLEX, TCGETS, TIOCGWINSZ,
                                                                kSnpGetReport, kSnpGetExtendedReport}) {
    if (result == 0) {
      result = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                SCMP_A1(SCMP_CMP_MASKED_EQ, 0xFFFFFFFF, request));
    }
  }
  for (const int option : {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP}) {
    if (result == 0) {
      result = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                SCMP_A0(SCMP_CMP_EQ, static_cast<uint64_t>(option)));
    }
  }
  return result;
}

// Denies what of EvidenceCalls is not `needed`, and further filters.
int AddNarrowingRules(scmp_filter_ctx context, EvidenceCalls needed) {
  const uint32_t deny = SCMP_ACT_ERRNO(EPERM);
  int result = seccomp_rule_add(context, deny, SCMP_SYS(seccomp), 0);
  if (result == 0 && needed != EvidenceCalls::kFolders) {
    result = AddRules(context, deny, {"rmdir"});
  }
  if (result == 0 && needed != EvidenceCalls::kFolders) {
    result =
        seccomp_rule_add(context, deny, SCMP_SYS(unlinkat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, AT_REMOVEDIR, AT_REMOVEDIR));
  }
  for (const uint64_t request : {kSnpGetReport, kSnpGetExtendedReport}) {
    if (result == 0 && needed != EvidenceCalls::kSevGuestIoctl) {
      result = seccomp_rule_add(context, deny, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xFFFFFFFF, request));
    }
  }
  return result;
}

}  // namespace

SyscallFilterResult InstallSyscallFilter() {
  const uint32_t deny = SCMP_ACT_ERRNO(EPERM);
  const Context context(seccomp_init(kSanitizerBuild ? SCMP_ACT_ALLOW : deny), seccomp_release);
  if (context == nullptr) {
    return {false, "seccomp_init failed"};
  }
  int result = seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  if (result == 0) {
    result =
        kSanitizerBuild ? AddRules(context.get(), deny, kDenied) : AddRules(context.get(), SCMP_ACT_ALLOW, kAllowed);
  }
  if (result == 0 && !kSanitizerBuild) {
    result = AddConditionalRules(context.get());
  }
  if (result == 0) {
    result = seccomp_load(context.get());
  }
  if (result != 0) {
    return {false, std::strerror(-result)};
  }
  return {true, kSanitizerBuild ? kRelaxed : ""};
}

SyscallFilterResult NarrowSyscallFilter(EvidenceCalls needed) {
  const Context context(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
  if (context == nullptr) {
    return {false, "seccomp_init failed"};
  }
  int result = seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  if (result == 0) {
    // It is set, and to set it again is a call that the first filter refuses.
    result = seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_NNP, 0);
  }
  if (result == 0) {
    result = AddNarrowingRules(context.get(), needed);
  }
  if (result == 0) {
    result = seccomp_load(context.get());
  }
  return {result == 0, result == 0 ? "" : std::strerror(-result)};
}

}  // namespace shoji::enclave
