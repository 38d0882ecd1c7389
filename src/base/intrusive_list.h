// A doubly linked list through its members: no allocation, removal in constant time from anywhere.
//
//   struct Session : ListNode<struct IdleTag> { ... };
//   IntrusiveList<Session, IdleTag> idle;
//
// An object may be in one list per tag it derives from. The list does not own its members; it must be empty,
// or its members gone for good, when it is destroyed. Not thread-safe.
#pragma once

#include "base/assert.h"

namespace ringcached {

template <typename Tag>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;

  bool linked() const { return next_ != nullptr; }
  // Leaves the list it is in; nothing happens when it is in none.
  void unlink() {
    if (!linked()) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    previous_ = next_ = nullptr;
  }

 protected:
  ~ListNode() = default;

 private:
  template <typename T, typename OtherTag>
  friend class IntrusiveList;

  ListNode* previous_ = nullptr;
  ListNode* next_ = nullptr;
};

template <typename T, typename Tag>
class IntrusiveList {
  using Node = ListNode<Tag>;

 public:
  IntrusiveList() {
    root_.previous_ = &root_;
    root_.next_ = &root_;
  }

  bool empty() const { return root_.next_ == &root_; }
  void push_back(T& item) {
    Node& node = item;
    RC_DCHECK(!node.linked());
    node.previous_ = root_.previous_;
    node.next_ = &root_;
    root_.previous_->next_ = &node;
    root_.previous_ = &node;
  }
  // Precondition: !empty().
  T& front() { return static_cast<T&>(*root_.next_); }
  T& pop_front() {
    RC_DCHECK(!empty());
    Node& node = *root_.next_;
    node.unlink();
    return static_cast<T&>(node);
  }
  // Visits members from the front for as long as visit(T&) says true. They must stay where they are.
  template <typename Visit>
  void visit_while(Visit&& visit) {
    for (Node* node = root_.next_; node != &root_ && visit(static_cast<T&>(*node)); node = node->next_) {
    }
  }
  // Moves every member of `other` behind the own ones.
  void take_all(IntrusiveList& other) {
    if (other.empty()) return;
    Node* first = other.root_.next_;
    Node* last = other.root_.previous_;
    first->previous_ = root_.previous_;
    root_.previous_->next_ = first;
    last->next_ = &root_;
    root_.previous_ = last;
    other.root_.previous_ = other.root_.next_ = &other.root_;
  }

 private:
  struct Root : Node {};
  Root root_;
};

}  // namespace ringcached
